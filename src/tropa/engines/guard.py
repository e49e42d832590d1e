"""Ties an engine process to the life of the server that started it. Runs as a script, with the standard library only.

On Linux the kernel does it: a process asks to be killed when its parent dies (`prctl(PR_SET_PDEATHSIG)`), and
the request survives `exec`. Elsewhere this process stays, holds the reading end of a pipe as its standard
input, and kills the engine's group when the pipe ends, which it does however the server dies.

    python -I -S guard.py [--watch] PARENT_PID COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def die_with_parent(parent: int) -> None:
    """Linux: have the kernel kill this process when the thread that started it ends. Exits if it already has."""
    import ctypes

    pr_set_pdeathsig = 1
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died between our start and the call above: nobody would ever kill us
        os._exit(1)


def watch(command: list[str]) -> int:
    """Run `command` until it ends or standard input does; returns its exit status (128 + signal if killed).

    The command is in our group, with all that it starts: at the end of input the whole group is killed, us too.
    """
    engine = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def kill_at_end_of_input() -> None:
        while os.read(0, 4096):
            pass
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpgrp(), signal.SIGKILL)
        engine.kill()

    threading.Thread(target=kill_at_end_of_input, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: engine.terminate())
    status = engine.wait()
    return 128 - status if status < 0 else status


def main(argv: list[str]) -> None:
    """Guard one command, as the module's text says."""
    watching = argv[:1] == ["--watch"]
    parent, *command = argv[1:] if watching else argv
    try:
        if watching:
            os._exit(watch(command))
        die_with_parent(int(parent))
        os.execv(command[0], command)  # noqa: S606 - the command is ours, and there is no shell in it
    except OSError as exc:
        sys.exit(f"error: cannot run {command[0]}: {exc.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""`make demo`: a server of its own, two questions at once over HTTP, one through `tropa run`, `tropa ps`, the end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

QUESTIONS = ("Why is the sky blue?", "What is the capital of France?")
READY_LIMIT = 30.0  # seconds
SHOWN = 50  # characters of an answer on each line while it grows


def main() -> int:
    """Exit status 0 if everything answered."""
    with tempfile.TemporaryDirectory(prefix="tropa-demo-") as folder:
        url = f"http://127.0.0.1:{free_port()}"
        env = os.environ | {"OLLAMA_HOST": url.removeprefix("http://"), "OLLAMA_MODELS": f"{folder}/models"}
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, "-m", "tropa", "serve"], env=env, stdout=output, stderr=output
            )
        try:
            began = time.monotonic()
            wait_until_ready(url, server)
            say(f"tropa serve is ready on {url} after {time.monotonic() - began:.2f} s")
            answers = ask_both(url)
            say('tropa run tiny "What is 3 plus 4?"')
            run = tropa(env, "run", "tiny", "What is 3 plus 4?")
            say("tropa ps")
            ps = tropa(env, "ps")
        except BaseException:
            print(log.read_text(errors="replace"), file=sys.stderr)
            raise
        finally:
            server.terminate()
            status = server.wait(timeout=30)
        say(f"the server ended with status {status}")
        return 0 if all(answers) and run == ps == status == 0 else 1


def ask_both(url: str) -> list[str]:
    """Two questions in flight at the same time, each piece of an answer printed as it comes."""
    say("two questions at the same time, over HTTP:")
    began = time.monotonic()
    answers = ["", ""]
    printing = threading.Lock()

    def ask(number: int) -> None:
        body = {"model": "tiny", "messages": [{"role": "user", "content": QUESTIONS[number]}]}
        body["options"] = {"temperature": 0}
        request = urllib.request.Request(f"{url}/api/chat", json.dumps(body).encode())  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
            for line in reply:
                piece = json.loads(line)["message"]["content"]
                answers[number] += piece
                if piece:
                    with printing:
                        stamp = f"{time.monotonic() - began:6.3f} s"
                        shown = answers[number][-SHOWN:]
                        print(f"  {stamp}  {QUESTIONS[number]:32} {shown}", flush=True)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for question, answer in zip(QUESTIONS, answers, strict=True):
        say(f"{question}\n{answer}")
    return answers


def tropa(env: dict[str, str], *arguments: str) -> int:
    """Run a command of the program, its output going where ours goes."""
    return subprocess.run([sys.executable, "-m", "tropa", *arguments], env=env, check=False).returncode


def wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers. Raises if it ends first, or takes too long."""
    deadline = time.monotonic() + READY_LIMIT
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with status {server.returncode}")
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"the server was not ready within {READY_LIMIT:.0f} s")


def free_port() -> int:
    """A port of the loopback interface that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

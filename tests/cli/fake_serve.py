"""Stands in for `tropa serve`: listens at OLLAMA_HOST until told to stop, and can be told to misbehave.

python fake_serve.py PID_FILE [--fail] [--deaf]
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def main(pid_file: str, *switches: str) -> int:
    if "--fail" in switches:
        sys.stderr.write("INFO starting\nError: the models folder is not writable\n")
        return 3
    if "--deaf" in switches:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    host, port = os.environ["OLLAMA_HOST"].split(":")
    with HTTPServer((host, int(port)), Handler) as server:
        Path(pid_file).write_text(str(os.getpid()))
        if os.environ.get("TROPA_EXIT_WITH_STDIN") == "1":
            threading.Thread(target=stop_with_stdin, args=(server, switches), daemon=True).start()
        server.serve_forever(poll_interval=0.01)
    return 0


def stop_with_stdin(server: HTTPServer, switches: tuple[str, ...]) -> None:
    while os.read(0, 1):
        pass
    if "--deaf" not in switches:
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

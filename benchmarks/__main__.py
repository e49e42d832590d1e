"""All benchmarks, one after another: `python -m benchmarks [--quick] [--only TEXT] [--out FILE]`.

Each is a process of its own. Their JSON lines are gathered in FILE, one benchmark a line, to compare runs with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

NAMES = (
    "startup",
    "first_token",
    "relay",
    "throughput",
    "embeddings",
    "rates",
    "two_models",
    "swap",
    "fairness",
    "memory_prediction",
    "scheduler_cost",
    "registry",
    "http_clients",
    "convert",
    "quantize",
    "templates",
    "show",
)
LIMIT = 3600.0  # seconds for one benchmark
HERE = Path(__file__).resolve().parent


def main() -> int:
    """Returns the exit status: 1 if a benchmark did not come to its end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: does it all run?")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="just the benchmarks whose name contains this"
    )
    parser.add_argument("--out", type=Path, help="add the JSON lines to this file")
    args = parser.parse_args()
    names = [name for name in NAMES if args.only in name and (HERE / f"{name}.py").exists()]
    failed = [name for name in names if not _run(name, args.quick, args.out)]
    if failed:
        print(f"did not come to their end: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(name: str, quick: bool, out: Path | None) -> bool:
    print(f"\n== {name} {time.strftime('%H:%M:%S')}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent) as process:
        deadline = time.monotonic() + LIMIT
        last = ""
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
            if time.monotonic() > deadline:
                process.terminate()
        status = process.wait()
    if status == 0 and out is not None and _is_json(last):
        with out.open("a") as file:
            file.write(last)
    return status == 0


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())

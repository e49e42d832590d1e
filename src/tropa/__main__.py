"""`python -m tropa` is `tropa`."""

from __future__ import annotations

import sys

from tropa.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

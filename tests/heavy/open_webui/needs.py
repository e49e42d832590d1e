"""Says what Open WebUI needs to run with models of ours, one requirement a line: all that it asks for, but for torch.

It asks for that, some gigabytes where there is no CPU build of it, by way of two packages that it loads when it is to
make vectors all by itself; here we make them. Run by the environment in which it was installed without dependencies.
"""

from __future__ import annotations

import re
from importlib.metadata import requires

OURS = {"accelerate", "sentence-transformers"}


def needs() -> list[str]:
    asked = [each for each in requires("open-webui") or [] if not re.search(r";.*\bextra\b", each)]
    return [each for each in asked if re.split(r"[^\w.-]", each, maxsplit=1)[0] not in OURS]


if __name__ == "__main__":
    print(*needs(), sep="\n")

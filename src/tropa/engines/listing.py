"""What devices an engine can use: asked of the engine itself, in a process that may crash.

`llama-server --list-devices` and `python -m tropa.engines.listing` print the same: a line per device, its name first.
"""

from __future__ import annotations

import re

LIBRARIES = {
    "cuda": "cuda",
    "rocm": "rocm",
    "hip": "rocm",
    "vulkan": "vulkan",
    "metal": "metal",
    "mtl": "metal",
}
_DEVICE = re.compile(r"\s+([A-Za-z]+)\d*: ")


def libraries(output: str) -> frozenset[str]:
    """The GPU libraries that occur in a listing, under the names that devices have here. Pure."""
    _, _, listing = output.partition("Available devices:")
    found = (match[1].lower() for line in listing.splitlines() if (match := _DEVICE.match(line)))
    return frozenset(LIBRARIES[name] for name in found if name in LIBRARIES)


def main() -> None:
    """Print the wheel's devices as llama-server prints its own."""
    import xllamacpp

    print("Available devices:")
    for device in xllamacpp.get_device_info():
        print(f"  {device['name']}: {device['description']}")


if __name__ == "__main__":
    main()

"""`list --files`: the exact text, and what it says where there is nothing to say."""

from __future__ import annotations

from tests.cli.conftest import Run, Transcript
from tests.cli.fakeserver import Fake, as_json


def file(kind: str, digit: str, size: int, *others: str, **more: object) -> dict[str, object]:
    path = f"/home/me/.ollama/models/blobs/sha256-{digit * 8}"
    return {"kind": kind, "digest": digit, "size": size, "path": path, "shared_with": others} | more


MODELS = {
    "models": [
        {"name": "a:1", "files": [file("model", "1", 5_000_000_000, "b:1"), file("config", "2", 485)]},
        {
            "name": "b:1",
            "files": [
                file("model", "1", 5_000_000_000, "a:1"),
                file("template", "3", 120, missing=True),
                file("config", "4", 487),
            ],
        },
        {"name": "bad:1", "files": [], "problem": "invalid manifest: it is cut short"},
    ]
}


def test_list_files(tropa: Run, fake: Fake) -> None:
    fake.replies["GET /api/files"] = as_json(MODELS)
    assert tropa("list", "--files") == Transcript(
        0,
        "a:1    5.0 GB\n"
        "    model     5 GB     /home/me/.ollama/models/blobs/sha256-11111111\n"
        "        shared with b:1\n"
        "    config    485 B    /home/me/.ollama/models/blobs/sha256-22222222\n"
        "\n"
        "b:1    5.0 GB\n"
        "    model       5 GB       /home/me/.ollama/models/blobs/sha256-11111111\n"
        "        shared with a:1\n"
        "    template    missing    /home/me/.ollama/models/blobs/sha256-33333333\n"
        "    config      487 B      /home/me/.ollama/models/blobs/sha256-44444444\n"
        "\n"
        "bad:1    0 B\n"
        "    invalid manifest: it is cut short\n"
        "\n"
        "3 models, 3 files, 5.0 GB; without sharing 10 GB\n",
        "",
    )


def test_a_prefix_chooses_models_and_the_total_is_theirs(tropa: Run, fake: Fake) -> None:
    fake.replies["GET /api/files"] = as_json(MODELS)
    assert tropa("ls", "A", "--files").out.splitlines()[-1] == "1 model, 2 files, 5.0 GB"


def test_no_models_have_no_files(tropa: Run, fake: Fake) -> None:
    fake.replies["GET /api/files"] = as_json({"models": []})
    assert tropa("list", "--files").out == "0 models, 0 files, 0 B\n"

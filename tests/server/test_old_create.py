"""`modelfile` in a create request, as clients of the reference's 0.2 send it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import models
from tests.support.server import Server

WHOLE = '''FROM tiny
SYSTEM """You are "two"
lines."""
TEMPLATE {{ .System }} {{ .Prompt }}
PARAMETER temperature 0
PARAMETER stop <a>
PARAMETER stop <b>
MESSAGE user hi
MESSAGE assistant yo
LICENSE mine
'''


def made(server: Server, modelfile: str, **fields: Any) -> dict[str, Any]:
    """What show says of the model that it makes."""
    answer = server.post("/api/create", name="old", modelfile=modelfile, stream=False, **fields)
    assert (answer.status, answer.json) == (200, {"status": "success"})
    shown = server.post("/api/show", name="old").json
    assert isinstance(shown, dict)
    return shown


def test_all_that_a_modelfile_can_say(server: Server) -> None:
    shown = made(server, WHOLE)
    assert shown["system"] == 'You are "two"\nlines.'
    assert shown["template"] == "{{ .System }} {{ .Prompt }}"
    assert [line.split() for line in shown["parameters"].splitlines()] == [
        ["stop", '"<a>"'],
        ["stop", '"<b>"'],
        ["temperature", "0"],
    ]
    assert shown["messages"] == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    assert shown["license"].endswith("mine")
    assert shown["details"]["parent_model"] == "tiny:latest"


def test_a_file_that_was_uploaded_is_named_by_its_digest(server: Server, tmp_path: Any) -> None:
    digest = server.upload(models.llama(tmp_path / "m.gguf"))
    shown = made(server, f"FROM @{digest}\nSYSTEM x\n")
    assert (shown["details"]["family"], shown["system"]) == ("llama", "x")
    assert shown["details"]["parent_model"] == ""


def test_todays_fields_win(server: Server) -> None:
    shown = made(server, "FROM nosuch\nSYSTEM old\n", **{"from": "tiny"})
    assert "system" not in shown
    assert made(server, "FROM tiny\nSYSTEM old\n", system="new")["system"] == "new"


@pytest.mark.parametrize(
    ("modelfile", "said"),
    [
        ("", "neither 'from' or 'files' was specified"),
        ("SYSTEM x", "no FROM line"),
        ("FROM tiny\nPARAMETER temperature hot", "(line 2): invalid float value [hot]"),
        ("FROM /etc/passwd", "FROM /etc/passwd: a server takes no file by its path (upload it"),
        ("FROM tiny\nADAPTER x", "ADAPTER x: a server takes no file by its path (upload it"),
        ("FROM tiny\nDRAFT ./x", "DRAFT ./x: a server takes no file by its path (upload it"),
        ("FROM @nonsense", "invalid digest format"),
        ("FROM tiny\nPARAMETER temperature " + "9" * 100_000 + "x", "(line 2): invalid float value [999"),
        ("FROM tiny\nSYSTEM " + "x" * (1 << 20), "modelfile has 1048593 characters: 1048576 are allowed"),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_a_modelfile_that_cannot_be_followed(server: Server, modelfile: str, said: str) -> None:
    answer = server.post("/api/create", name="bad", modelfile=modelfile)
    assert answer.status == 400
    assert answer.error.startswith(said)

"""`show`: sections exactly as the reference lays them out, and single parts as they are."""

from __future__ import annotations

import sys

import pytest

from tests.cli.conftest import Run, Transcript
from tests.cli.fakeserver import Fake, as_json, error
from tropa.cli.show import model_sections

ANSWER = {
    "license": "MIT License\nCopyright (c) Some\n\nPermission is hereby granted",
    "modelfile": "FROM x",
    "parameters": 'stop                           "<|start_header_id|>"\nstop                           "<|eot_id|>"',
    "template": "{{ .Prompt }}",
    "details": {"family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"},
    "model_info": {
        "general.architecture": "llama",
        "general.parameter_count": 3212749888,
        "llama.context_length": 131072,
        "llama.embedding_length": 3072,
        "llama.rope.freq_base": 500000.0,
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.tokens": ["a", "b", "c", "dd", "eeeee"],
        "tokenizer.ggml.add_bos": True,
    },
    "tensors": [{"name": "token_embd.weight", "type": "Q4_K", "shape": [3072, 128256]}],
    "capabilities": ["completion", "tools"],
}

SECTIONS = """\
  Model
    architecture        llama     
    parameters          3.2B      
    context length      131072    
    embedding length    3072      
    quantization        Q4_K_M    

  Capabilities
    completion    
    tools         

  Parameters
    stop    "<|start_header_id|>"    
    stop    "<|eot_id|>"             

  License
    MIT License           
    Copyright (c) Some    
    ...                   

"""  # noqa: W291 - the blanks at the line ends are part of the format


def test_show(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/show"] = as_json(ANSWER)
    assert tropa("show", "m") == Transcript(0, SECTIONS, "")
    assert fake.bodies("/api/show") == [{"model": "m", "name": "m", "verbose": False}]


def test_single_parts(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/show"] = as_json(ANSWER)
    assert tropa("show", "m", "--template").out == "{{ .Prompt }}"
    assert tropa("show", "m", "--modelfile").out == "FROM x\n"
    assert tropa("show", "m", "--license").out == ANSWER["license"] + "\n"  # type: ignore[operator]
    assert tropa("show", "m", "--system").out == ""
    assert tropa("show", "--system=false", "m", "--parameters").out.count("\n") == 2


def test_a_license_cannot_steer_the_terminal(tropa: Run, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.replies["POST /api/show"] = as_json({"license": "MIT\x1b[2J\x9b1m\tLicense\n"})
    assert tropa("show", "m", "--license").out == "MIT\x1b[2J\x9b1m\tLicense\n\n", "a pipe gets all of it"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert tropa("show", "m", "--license").out == "MIT[2J1m\tLicense\n\n"
    assert "\x1b" not in tropa("show", "m").out


def test_an_error_cannot_steer_the_terminal(tropa: Run, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.replies["POST /api/show"] = error("\x1b[31mred\nnews", 500)
    assert tropa("show", "m").err == "Error: \x1b[31mred\nnews\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert tropa("show", "m").err == "Error: [31mred\nnews\n"


def test_only_one_part_at_a_time(tropa: Run) -> None:
    assert tropa("show", "m", "--license", "--system") == Transcript(
        1,
        "",
        "Error: only one of '--license', '--modelfile', '--parameters', '--system', or '--template' "
        "can be specified\n",
    )


def test_verbose_adds_metadata_and_tensors() -> None:
    text = model_sections(ANSWER, verbose=True)
    metadata = text.split("  Metadata\n")[1].split("\n\n")[0]
    rows = [line.split(maxsplit=1) for line in metadata.splitlines()]
    assert [[name, value.rstrip()] for name, value in rows] == [
        ["general.architecture", "llama"],
        ["general.parameter_count", "3.212749888e+09"],
        ["llama.context_length", "131072"],
        ["llama.embedding_length", "3072"],
        ["llama.rope.freq_base", "500000"],
        ["tokenizer.ggml.add_bos", "true"],
        ["tokenizer.ggml.merges", "<nil>"],
        ["tokenizer.ggml.tokens", "[a b c dd ...+1 more]"],
    ]
    assert "  Tensors\n    token_embd.weight    Q4_K    [3072 128256]    \n" in text


def test_long_texts_go_on_in_further_rows() -> None:
    text = model_sections({"system": "word " * 40})
    lines = text.splitlines()[1:]
    assert [len(line.rstrip()) for line in lines if line.strip()] == [4 + 99, 4 + 99]


def test_nothing_known_shows_nothing() -> None:
    assert model_sections({"details": {}, "model_info": {}}) == ""

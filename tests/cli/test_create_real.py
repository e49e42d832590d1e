"""`create` as a user meets it: real files, the real command, a real server, and an answer at the end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Transcript
from tests.goldens import folder
from tests.goldens.specs import SPECS
from tests.library.convert.adapters import peft, trained
from tests.library.test_shards import split
from tests.library.test_weights import lora
from tests.support import models
from tropa.cli import target
from tropa.cli.ownserver import server_running
from tropa.client.client import Client
from tropa.library.blobs import Writer

MODELFILES = Path(__file__).parents[2] / "docs/modelfiles"
SHORT = "PARAMETER num_predict 8\nPARAMETER num_ctx 512\nPARAMETER temperature 0\nPARAMETER seed 1\n"
TEMPLATE = 'TEMPLATE """[{{ .System }}] {{ .Prompt }} => """\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    place = tmp_path_factory.mktemp("real")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLLAMA_HOST", address)
        patch.setenv("OLLAMA_MODELS", str(place / "models"))
        patch.setenv("TROPA_STATE", str(place / "state"))
        with server_running(target.client()):
            yield


@pytest.fixture
def create(server: None, run: Run, tmp_path: Path) -> Run:
    """`create NAME`, with the text of the Modelfile as the second word."""

    def create(name: str, text: str, *words: str) -> Transcript:
        (tmp_path / "Modelfile").write_text(text)
        return run("create", name, "-f", str(tmp_path / "Modelfile"), *words)

    return create  # type: ignore[return-value] # its words are the same


def succeeded(made: Transcript) -> bool:
    """`success` is the last word: a warning would come after it."""
    return (made.status, made.out) == (0, "") and made.err.endswith("\nsuccess\n")


def answers(run: Run, model: str) -> str:
    """What a model says; that it says something and nothing is complained about is asserted."""
    said = run("run", model, "ba be bi bo")
    assert (said.status, said.err) == (0, "")
    assert said.out.strip()
    return said.out


FAMILIES = [  # a page of docs/modelfiles, and a model that it is for: random weights, and a spec of safetensors
    ("glm4", "glm4", "glm4"),
    ("glm4", "chatglm", "chatglm"),
    ("codegeex4", "chatglm", "codegeex4"),
    ("gemma2", "gemma2", "gemma2"),
]


@pytest.mark.parametrize(("page", "maker", "spec"), FAMILIES)
def test_the_modelfiles_of_the_docs_make_models_that_answer(
    create: Run, run: Run, tmp_path: Path, page: str, maker: str, spec: str
) -> None:
    text = (MODELFILES / page / "Modelfile").read_text()
    assert "FROM ./model.gguf\n" in text
    getattr(models, maker)(tmp_path / "model.gguf", width=64, vocab=600, layers=1)
    assert succeeded(create("from-gguf", f"{text}\nSYSTEM Be brief.\n{SHORT}"))
    answers(run, "from-gguf")
    assert succeeded(create("smaller", "FROM from-gguf\n", "-q", "q8_0"))
    answers(run, "smaller")
    assert "    quantization        Q8_0" in run("show", "smaller").out
    assert run("show", "smaller", "--system").out == "Be brief."

    folder.write(SPECS[spec], tmp_path / "model")
    text = text.replace("FROM ./model.gguf", "FROM ./model") + SHORT.replace("512", "128")
    made = create("from-safetensors", text, "-q", "Q8_0")
    assert (made.status, made.out) == (0, ""), made.err
    answers(run, "from-safetensors")
    assert "    quantization        Q8_0" in run("show", "from-safetensors").out


def test_a_split_model_in_this_folder_needs_no_modelfile(
    server: None, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = models.llama(tmp_path / "whole.gguf", width=64, vocab=400, layers=1)
    (tmp_path / "here").mkdir()
    for name, data in split(whole, 3).items():
        (tmp_path / "here" / name).write_bytes(data)
    monkeypatch.chdir(tmp_path / "here")
    assert succeeded(run("create", "split"))
    answers(run, "split")


def test_an_adapter_goes_with_its_base(create: Run, run: Run, tmp_path: Path) -> None:
    models.llama(tmp_path / "m.gguf", width=64, heads=4, kv_heads=4, vocab=400, layers=1)
    (tmp_path / "lora.gguf").write_bytes(lora(tmp_path / "made.gguf"))
    assert succeeded(create("adapted", f"FROM m.gguf\nADAPTER ./lora.gguf\n{SHORT}"))
    answers(run, "adapted")


def test_an_adapter_as_training_left_it_changes_what_its_base_says(
    create: Run, run: Run, tmp_path: Path
) -> None:
    folder.write(SPECS["llama"], tmp_path / "model")
    peft(*trained("llama", tmp_path / "source"), {"lora_alpha": 16}, tmp_path / "adapter")
    short = SHORT.replace("512", "128")
    assert succeeded(create("plain", f"FROM ./model\n{short}"))
    made = create("trained", f"FROM plain\nADAPTER ./adapter\n{short}")
    assert succeeded(made)
    assert answers(run, "trained") != answers(run, "plain")


def test_what_show_prints_makes_the_same_model_again(create: Run, run: Run, tmp_path: Path) -> None:
    models.llama(tmp_path / "m.gguf", width=64, vocab=400, layers=1)
    text = (
        f'FROM m.gguf\n{TEMPLATE}{SHORT}SYSTEM """say "hi"\n"""\nPARAMETER stop " x"\nLICENSE one\nLICENSE two\n'
        "MESSAGE user ho\nREQUIRES 0.14\nRENDERER nobody\n"
    )
    assert create("one", text).status == 0
    again = run("create", "two", "-f", "-", piped=run("show", "one", "--modelfile").out.encode())
    *_, last, warning = again.err.splitlines()
    assert (again.status, last) == (0, "success"), again.err
    assert "nothing here knows the renderer 'nobody'" in warning
    ids = {line.split()[1] for name in ("one", "two") for line in run("list", name).out.splitlines()[1:]}
    assert len(ids) == 1


def test_mistakes_are_said_with_their_place(create: Run, run: Run, tmp_path: Path) -> None:
    transcript = create("bad", 'FROM tiny\n\nTEMPLATE """{{ .Prompt }"""\n')
    assert transcript.status == 1
    assert "template error: " in transcript.err
    assert create("bad", "FROM tiny\nPARAMETER temprature 1\n").err == (
        "Error: (line 2): unknown parameter 'temprature'\nDid you mean \"temperature\"?\n"
    )
    assert "quantization is only supported for F16" in create("bad", "FROM tiny\n", "-q", "q4_K_M").err
    assert run("list", "bad").out.count("\n") == 1, "nothing is registered"


def test_a_file_beside_its_server_is_not_copied(
    create: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filesystem's part is played: not every machine that tests has one that shares bytes."""
    models.llama(tmp_path / "m.gguf", width=64, vocab=400, layers=1, seed=7)
    monkeypatch.setattr(Writer, "clone", _clone)
    monkeypatch.setattr(Client, "upload", _never)
    assert succeeded(create("nearby", f"FROM m.gguf\n{SHORT}"))
    answers(run, "nearby")


def test_a_server_with_another_folder_gets_its_files_by_upload(
    create: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.llama(tmp_path / "m.gguf", width=64, vocab=400, layers=1, seed=8)
    monkeypatch.setattr(Writer, "clone", _clone)
    (tmp_path / "other" / "blobs").mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "other"))
    assert succeeded(create("uploaded", "FROM m.gguf\n"))
    assert list((tmp_path / "other" / "blobs").iterdir()) == [], "nothing is left behind"


def _clone(writer: Writer, file: BufferedReader) -> bool:
    file.seek(0)
    writer.write(file.read())
    return True


def _never(*_: object) -> None:
    raise AssertionError("nothing is to be uploaded")

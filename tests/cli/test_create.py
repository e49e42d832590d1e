"""`create`: the Modelfile is read here, files are uploaded once, the server's statuses end in success."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Transcript
from tests.cli.fakeserver import Fake, Reply, error, lines

WEIGHTS = b"GGUF" + bytes(range(256)) * 5000
DIGEST = f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"
SUCCESS = lines({"status": "parsing GGUF"}, {"status": "writing manifest"}, {"status": "success"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "weights.gguf").write_bytes(WEIGHTS)
    (folder / "Modelfile").write_text('FROM ./weights.gguf\nSYSTEM "Be brief."\n')
    monkeypatch.chdir(folder)
    return folder


def test_create_uploads_and_makes(tropa: Run, fake: Fake, folder: Path) -> None:
    fake.replies |= {
        f"HEAD /api/blobs/{DIGEST}": Reply(status=404),
        f"POST /api/blobs/{DIGEST}": Reply(status=201),
        "POST /api/create": SUCCESS,
    }
    transcript = tropa("create", "mine")
    assert (transcript.status, transcript.out) == (0, "")
    assert transcript.err.splitlines() == [  # a pipe gets each step once
        "gathering model components", "reading weights.gguf: 1.3 MB", f"copying file {DIGEST[:19]}: 1.3 MB",
        "parsing GGUF", "writing manifest", "success",
    ]  # fmt: skip
    assert fake.sequence() == [
        "HEAD /",
        f"HEAD /api/blobs/{DIGEST}",
        f"POST /api/blobs/{DIGEST}",
        "POST /api/create",
    ]
    upload = fake.asked[2]
    assert upload.body == WEIGHTS
    assert upload.headers["Content-Length"] == str(len(WEIGHTS))
    assert fake.bodies("/api/create") == [
        {"model": "mine", "system": "Be brief.", "files": {"weights.gguf": DIGEST}}
    ]


def test_a_blob_that_is_there_is_not_sent_again(tropa: Run, fake: Fake, folder: Path) -> None:
    fake.replies |= {f"HEAD /api/blobs/{DIGEST}": Reply(), "POST /api/create": SUCCESS}
    elsewhere = folder / "elsewhere"
    (folder / "Modelfile").rename(elsewhere)
    assert tropa("create", "-f", str(elsewhere), "-q", "q4_K_M", "mine").status == 0
    assert "POST /api/blobs" not in " ".join(fake.sequence())
    assert fake.bodies("/api/create")[0]["quantize"] == "q4_K_M"


def test_a_draft_is_quantized_on_its_own(tropa: Run, fake: Fake, folder: Path) -> None:
    fake.replies["POST /api/create"] = SUCCESS
    (folder / "Modelfile").write_text("FROM tiny\n")
    assert tropa("create", "mine", "--draft-quantize", "q8_0").status == 0
    assert fake.bodies("/api/create") == [{"model": "mine", "from": "tiny", "draft_quantize": "q8_0"}]
    assert "unsupported quantization type" in tropa("create", "mine", "--draft-quantize=q8_1").err


def test_a_modelfile_can_be_piped_in(tropa: Run, fake: Fake, folder: Path) -> None:
    fake.replies["POST /api/create"] = SUCCESS
    assert tropa("create", "mine", "-f", "-", piped=b"FROM tiny\n").status == 0
    assert fake.bodies("/api/create") == [{"model": "mine", "from": "tiny"}]


def test_what_is_wrong_here_is_said_before_anything_is_sent(tropa: Run, fake: Fake, folder: Path) -> None:
    assert tropa("create", "a b") == Transcript(1, "", "Error: invalid model name: a b\n")
    assert tropa("create", "m", "-f", "nosuch") == Transcript(1, "", "Error: no such file: nosuch\n")
    (folder / "Modelfile").write_text("SYSTEM hi\n")
    assert tropa("create", "m") == Transcript(1, "", "Error: no FROM line\n")
    (folder / "Modelfile").unlink()
    (folder / "weights.gguf").unlink()
    transcript = tropa("create", "m")
    assert (transcript.status, transcript.out) == (1, "")
    assert transcript.err.startswith("Error: no such file: Modelfile\nWrite one (it begins with FROM")
    (folder / "Modelfile").mkdir()
    assert tropa("create", "m").err == "Error: cannot read Modelfile: Is a directory\n"
    assert fake.asked == []


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder that somebody is in stays")
def test_a_folder_that_was_removed_is_no_traceback(tropa: Run, folder: Path) -> None:
    shutil.rmtree(folder)
    assert tropa("create", "m") == Transcript(1, "", "Error: the folder we are in is not there any more\n")


def test_a_mistyped_quantization_is_said_before_anything_is_sent(
    tropa: Run, fake: Fake, folder: Path
) -> None:
    transcript = tropa("create", "m", "-q", "q4_K_X")
    assert transcript.err.startswith(
        "Error: unsupported quantization type Q4_K_X - supported types are F32, F16"
    )
    assert "importance matrix" in tropa("create", "m", "-q", "iq2_xs").err
    assert fake.asked == []


def test_a_folder_with_a_model_needs_no_modelfile(tropa: Run, fake: Fake, folder: Path) -> None:
    fake.replies |= {f"HEAD /api/blobs/{DIGEST}": Reply(), "POST /api/create": SUCCESS}
    (folder / "Modelfile").unlink()
    assert tropa("create", "mine").status == 0
    assert fake.bodies("/api/create") == [{"model": "mine", "files": {"weights.gguf": DIGEST}}]


def test_adapters_and_drafts_are_uploaded_too(tropa: Run, fake: Fake, folder: Path) -> None:
    fake.replies["POST /api/create"] = SUCCESS
    digests = {}
    for name in ("lora.gguf", "draft.gguf"):
        (folder / name).write_bytes(b"GGUF" + name.encode())
        digests[name] = f"sha256:{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"
        fake.replies |= {f"HEAD /api/blobs/{digests[name]}": Reply(status=404)}
        fake.replies |= {f"POST /api/blobs/{digests[name]}": Reply(status=201)}
    (folder / "Modelfile").write_text("FROM tiny\nADAPTER lora.gguf\nDRAFT draft.gguf\n")
    assert tropa("create", "mine").status == 0
    assert fake.bodies("/api/create") == [
        {
            "model": "mine", "from": "tiny", "adapters": {"lora.gguf": digests["lora.gguf"]},
            "draft_files": {"draft.gguf": digests["draft.gguf"]},
        }
    ]  # fmt: skip


def test_what_the_server_warns_of_is_said_even_without_a_terminal(
    tropa: Run, fake: Fake, folder: Path
) -> None:
    (folder / "Modelfile").write_text("FROM tiny\n")
    fake.replies["POST /api/create"] = lines({"status": "warning: mind the gap"}, {"status": "success"})
    assert tropa("create", "m") == Transcript(0, "", "success\nwarning: mind the gap\n")


def test_deprecated_parameters_are_warned_about(tropa: Run, fake: Fake, folder: Path) -> None:
    fake.replies["POST /api/create"] = SUCCESS
    (folder / "Modelfile").write_text("FROM tiny\nPARAMETER mirostat 1\n")
    assert tropa("create", "m").err.startswith("warning: parameter mirostat is deprecated\n")


def test_a_refused_upload_is_the_error(tropa: Run, fake: Fake, folder: Path) -> None:
    fake.replies |= {
        f"HEAD /api/blobs/{DIGEST}": Reply(status=404),
        f"POST /api/blobs/{DIGEST}": error("no space left on device", 500),
    }
    transcript = tropa("create", "m")
    assert (transcript.status, transcript.out) == (1, "")
    assert transcript.err.endswith("\nError: no space left on device\n")


def test_errors_before_and_inside_the_stream(tropa: Run, fake: Fake, folder: Path) -> None:
    (folder / "Modelfile").write_text("FROM nosuch\n")
    fake.replies["POST /api/create"] = error("invalid model name", 400)
    assert tropa("create", "m").err == "Error: 400 Bad Request: invalid model name\n"
    fake.replies["POST /api/create"] = lines(
        {"status": "x"}, {"error": "pull model manifest: file does not exist"}
    )
    assert tropa("create", "m") == Transcript(1, "", "x\nError: pull model manifest: file does not exist\n")

"""The folder of an existing Ollama installation works as it is, and stays valid."""

from __future__ import annotations

import os
from pathlib import Path

from tests.library.check.reports import age, found, mended
from tests.library.making import add, broken, files, gguf, unused, write_manifest
from tropa.library import manifest
from tropa.library.check import Check, Kind
from tropa.library.library import Library


def installation(root: Path) -> None:
    """What years of use leave: an old layout, other people's media types, links, rubbish."""
    blobs = Library(root).store.blobs
    config = (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama","clip"],"model_type":"7B",'
        b'"file_type":"Q4_0","architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:0"]}}'
    )
    layers = [
        add(blobs, manifest.MODEL, gguf(llama__context_length=4096)),
        add(blobs, manifest.PROJECTOR, gguf("clip", general__type="mmproj", clip__has_vision_encoder=True)),
        add(blobs, manifest.PROMPT, b"[INST] {{ .Prompt }} [/INST]"),
        add(blobs, manifest.PARAMS, b'{"stop":["[INST]"]}'),
        add(blobs, "application/vnd.ollama.image.embed", b"old"),
        add(blobs, "application/vnd.example.of.tomorrow", b"?"),
    ]
    whole = manifest.compose(add(blobs, manifest.CONFIG, config), layers)
    odd = b" " + whole.replace(b'"schemaVersion":2', b'"schemaVersion":2,"annotations":{"a":null}') + b"\n"
    write_manifest(root, "registry.ollama.ai/library/LLaVA/7B", whole)
    write_manifest(root, "localhost:5000/Me/llava/v1.6", odd)
    write_manifest(root, "registry.ollama.ai/library/torn/latest", whole[: len(whole) // 2])
    write_manifest(root, "registry.ollama.ai/library/.DS_Store", b"\0")
    (root / "manifests/registry.ollama.ai/library/LLaVA/gone").symlink_to(root / "nowhere")
    for number, path in enumerate(sorted(blobs.folder.iterdir())):
        os.utime(path, (1e9, 1e9))
        if number % 2:
            path.rename(path.with_name(path.name.replace("-", ":")))


def test_an_existing_installation_works_as_it_is_and_stays_valid(tmp_path: Path) -> None:
    root = tmp_path / "models"
    installation(root)
    before = {path: data for path, data in files(root).items() if path.startswith("manifests")}
    library = Library(root)
    kinds = {kind for kind, _ in found(Check(library).run())}
    assert kinds == {Kind.CORRUPT, Kind.MISNAMED, Kind.STRAY}
    library.open()
    report = Check(library).run()
    assert {kind for kind, _ in found(report)} == {Kind.CORRUPT, Kind.STRAY}
    for name in ("llava:7b", "LOCALHOST:5000/me/LLAVA:V1.6"):
        model = library.find(name)
        assert model.template == "[INST] {{ .Prompt }} [/INST]"
        assert model.can("vision")
    assert {path: data for path, data in files(root).items() if path.startswith("manifests")} == before
    library.copy("llava:7B", "copy")
    library.delete("LLAVA:7b")
    library.delete("torn")
    assert [each for each in broken(library.store) if "ignoring" not in each] == []
    assert Check(library).run().problems == ()
    # the torn one is gone, so old and unused blobs may be told from others again
    loose = add(library.store.blobs, "", b"loose").blob
    age(library)
    assert found(mended(library))[0][0] is Kind.STRAY
    assert not library.store.blobs.has(loose)
    assert unused(library.store) == []

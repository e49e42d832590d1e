"""GLM-4 as transformers knows it: `GlmForCausalLM` (GLM-4-9b-chat-hf) and `Glm4ForCausalLM` (GLM-4-0414).

Neighbours are rotated together in their code as in the engine's, so nothing is moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from tropa.library.convert.architecture import Wanted
from tropa.library.convert.config import Config
from tropa.library.convert.decoder import NAMES, Decoder
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer import read as tokenizer
from tropa.library.convert.tokenizer.vocabulary import Vocabulary
from tropa.library.convert.values import Value

END = "<|endoftext|>"
ROLES = {"eos": END, "unknown": END, "eot": "<|user|>", "eom": "<|observation|>"}
"""An answer also ends where the model would go on as the user, or as a tool."""
PRE, PRE_BY_MERGES = "glm4", "chatglm-bpe"
"""The engine's names for one and the same regular expression. With the first, a word that is a token is taken whole
before any merge, which is what tiktoken and `ignore_merges` do."""


def with_roles(vocabulary: Vocabulary, roles: Mapping[str, str]) -> Vocabulary:
    """GLM's special tokens by what they are for. No token is put before a text: the template says `[gMASK]<sop>`."""
    place = {text: i for i, text in enumerate(vocabulary.tokens)}
    if END not in place:
        raise InvalidModelFolder(f"the tokenizer has no {END}, which every GLM has")
    known = {f"tokenizer.ggml.{role}_token_id": place[text] for role, text in roles.items() if text in place}
    return replace(vocabulary, extra={**vocabulary.extra, **known, "tokenizer.ggml.add_bos_token": False})


def cut(folder: Folder, vocabulary: Vocabulary) -> Vocabulary:
    """A vocabulary from tokenizer.json, cut as GLM's are. That is known by the family, so there is nothing to warn of
    where the expression is spelt in a new way."""
    model = (folder.json("tokenizer.json") or {}).get("model")
    whole = isinstance(model, dict) and model.get("ignore_merges") is True
    return replace(vocabulary, pre=PRE if whole else PRE_BY_MERGES, warnings=())


class Glm(Decoder):
    """The engine's name is that of the older layout (see `chatglm`): the same model, with its matrices fused there."""

    gguf = "chatglm"
    names: ClassVar[Mapping[str, str]] = {**NAMES, "mlp.gate_up_proj": "ffn_up"}
    roles: ClassVar[Mapping[str, str]] = ROLES

    def __init__(self, config: Config, folder: Folder) -> None:
        super().__init__(config, folder)
        if "mrope_section" in self.rope.scaling:
            raise InvalidModelFolder("config.json: mrope_section: only GLM's text models can be imported")
        if self.rope.kind in ("llama3", "longrope"):
            raise InvalidModelFolder(
                f"config.json: the engine has no rope scaling {self.rope.kind!r} for GLM"
            )
        if self.gguf == "chatglm" and self.heads * self.head != self.width:
            raise InvalidModelFolder(
                f"config.json: {self.heads} heads of {self.head} (num_attention_heads, head_dim) are not "
                f"hidden_size ({self.width}), as the engine wants for this family"
            )

    @property
    def rotated(self) -> int:
        """Numbers of each head that are rotated: half of them, where nothing is said."""
        said = any("partial_rotary_factor" in each for each in (self.config, self.rope.scaling))
        return int(self.head * (self.rope.partial if said else 0.5))

    def keys(self) -> Mapping[str, Value]:
        return {**super().keys(), "rope.dimension_count": self.rotated}

    def vocabulary(self) -> Vocabulary:
        found = cut(self.folder, tokenizer.read(self.folder))
        return with_roles(found, self.roles).of_size(self.vocab)

    def bias(self, name: str) -> bool | None:
        if name not in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
            return False
        return self.config.flag("attention_bias") if "attention_bias" in self.config else None

    def mlp(self, i: int) -> Iterator[Wanted]:
        yield from self.linear(i, "mlp.gate_up_proj", 2 * self.hidden, self.width)
        yield from self.linear(i, "mlp.down_proj", self.width, self.hidden)


class Glm4(Glm):
    """Norms after attention and feed-forward too. Here a head may be of any size."""

    gguf = "glm4"
    roles: ClassVar[Mapping[str, str]] = {**ROLES, "bos": END}
    names: ClassVar[Mapping[str, str]] = {
        **Glm.names,
        "post_self_attn_layernorm": "post_attention_norm",
        "post_mlp_layernorm": "post_ffw_norm",
    }

    def layer(self, i: int) -> Iterator[Wanted]:
        yield from super().layer(i)
        yield self.norm(i, "post_self_attn_layernorm")
        yield self.norm(i, "post_mlp_layernorm")

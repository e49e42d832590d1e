"""Which architectures can be imported: the one table. A family's module is only loaded when it is wanted."""

from __future__ import annotations

from importlib import import_module

from tropa.library.convert.architecture import Architecture
from tropa.library.convert.config import Config
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.errors import UnsupportedArchitecture

FAMILIES = {
    "LlamaForCausalLM": "llama:Llama",
    "MistralForCausalLM": "llama:Mistral",
    "MixtralForCausalLM": "llama:Mixtral",
    "Qwen2ForCausalLM": "qwen:Qwen2",
    "Qwen3ForCausalLM": "qwen:Qwen3",
    "GemmaForCausalLM": "gemma:Gemma",
    "Gemma2ForCausalLM": "gemma:Gemma2",
    "Phi3ForCausalLM": "phi3:Phi3",
    "GlmForCausalLM": "glm:Glm",
    "Glm4ForCausalLM": "glm:Glm4",
    "ChatGLMModel": "chatglm:ChatGLM",
    "ChatGLMForConditionalGeneration": "chatglm:ChatGLM",
    "BertModel": "bert:Bert",
}
"""Hugging Face's name (`architectures` in config.json) to module and class in this folder."""


def family(name: str) -> type[Architecture]:
    """The converter for an architecture. Raises UnsupportedArchitecture."""
    place = FAMILIES.get(name)
    if place is None:
        raise UnsupportedArchitecture(
            f'unsupported architecture "{name}": of safetensors, these can be imported: {", ".join(sorted(FAMILIES))}',
            hint="convert the model to GGUF with llama.cpp's convert_hf_to_gguf.py and create it from that file",
        )
    module, _, kind = place.partition(":")
    found: type[Architecture] = getattr(import_module(f"tropa.library.convert.{module}"), kind)
    return found


def of(folder: Folder) -> Architecture:
    """The converter for a folder. Raises InvalidModelFolder, UnsupportedArchitecture."""
    fields = folder.json("config.json")
    if fields is None:
        raise InvalidModelFolder(
            "config.json is not among the files", hint="a model's folder holds config.json beside its weights"
        )
    listed = fields.get("architectures")
    if not isinstance(listed, list) or not listed or not isinstance(listed[0], str):
        raise InvalidModelFolder("unknown architecture: config.json names none")
    return family(listed[0])(Config(fields), folder)

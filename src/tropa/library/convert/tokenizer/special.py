"""What surrounds a vocabulary: the ids of its special tokens, whether they are added, the chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer.bpe import Added
from tropa.library.convert.values import Value

NAMES = {
    "bos": "bos",
    "eos": "eos",
    "unk": "unknown",
    "sep": "seperator",  # so it is spelt in GGUF
    "pad": "padding",
    "cls": "cls",
    "mask": "mask",
}
"""What Hugging Face calls them, and what GGUF calls them."""


def keys(
    folder: Folder, tokens: Sequence[str], extra: Sequence[Added], *, bos_by_itself: bool = False
) -> dict[str, Value]:
    """All of that, from tokenizer_config.json and whatever else says it. Raises InvalidModelFolder.

    `bos_by_itself`: a vocabulary whose programs add bos where nothing is said, as SentencePiece's do.
    """
    settings = folder.json("tokenizer_config.json") or {}
    found: dict[str, Value] = {}
    ids: dict[str, int] = {}
    for short, long in NAMES.items():
        number = _id(settings.get(f"{short}_token"), tokens, extra)
        if number is None:
            number = _configured(folder, short, len(tokens))
        if number is not None:
            ids[short] = number
            found[f"tokenizer.ggml.{long}_token_id"] = number
    found |= _flags(folder, settings, ids, extra, bos_by_itself)
    found |= _ends(folder, ids, len(tokens))
    if template := chat_template(folder, settings):
        found["tokenizer.chat_template"] = template
    return found


def chat_template(folder: Folder, settings: Mapping[str, Any]) -> str:
    """The Jinja text, empty if there is none. Raises InvalidModelFolder."""
    value = settings.get("chat_template")
    if isinstance(value, list):
        entries = [entry for entry in value if isinstance(entry, dict)]
        value = next((entry.get("template") for entry in entries if entry.get("name") == "default"), None)
    if value is None:
        return folder.text("chat_template.jinja") if "chat_template.jinja" in folder else ""
    if not isinstance(value, str):
        raise InvalidModelFolder(f"tokenizer_config.json: invalid chat_template: {str(value)[:80]}")
    return value


def _id(token: object, tokens: Sequence[str], extra: Sequence[Added]) -> int | None:
    text = token.get("content") if isinstance(token, dict) else token
    if not isinstance(text, str):
        return None
    for each in extra:
        if each.text == text and each.id < len(tokens):
            return each.id
    return tokens.index(text) if text in tokens else None


def _configured(folder: Folder, short: str, size: int) -> int | None:
    """The id in generation_config.json or config.json, of a list the first."""
    for file in ("generation_config.json", "config.json"):
        value = (folder.json(file) or {}).get(f"{short}_token_id")
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int) and not isinstance(each, bool) and 0 <= each < size:
                return each
    return None


def _flags(
    folder: Folder,
    settings: Mapping[str, Any],
    ids: Mapping[str, int],
    extra: Sequence[Added],
    bos_by_itself: bool,
) -> dict[str, Value]:
    """Whether bos and eos are added: as tokenizer_config.json says, else as tokenizer.json does it.

    Where neither says anything the engine's own default stands, but never a token that does not exist.
    """
    found: dict[str, Value] = {}
    tokenizer = folder.json("tokenizer.json")
    done = None if tokenizer is None else _template(tokenizer)
    if bos_by_itself and not done:
        done = None
    for short in NAMES:
        flag = settings.get(f"add_{short}_token")
        if not isinstance(flag, bool) and done is not None and short in ("bos", "eos"):
            token = next((each.text for each in extra if each.id == ids.get(short)), None)
            flag = token is not None and bool(done) and done[0 if short == "bos" else -1] == token
        if isinstance(flag, bool):
            found[f"tokenizer.ggml.add_{NAMES[short]}_token"] = flag and short in ids
    return found


def _template(tokenizer: Mapping[str, Any]) -> list[str | None]:
    """What a post-processor makes of one text: special tokens, and None for the text itself."""
    processor = tokenizer.get("post_processor")
    inner = processor.get("processors") if isinstance(processor, dict) else None
    for step in inner if isinstance(inner, list) else [processor]:
        if isinstance(step, dict) and step.get("type") == "TemplateProcessing":
            single = step.get("single")
            parts = [each for each in single if isinstance(each, dict)] if isinstance(single, list) else []
            names = [each.get("SpecialToken") for each in parts]
            return [name.get("id") if isinstance(name, dict) else None for name in names]
    return []


def _ends(folder: Folder, ids: Mapping[str, int], size: int) -> dict[str, Value]:
    """Lists of ids in generation_config.json. The engine knows three ends of a text: others become eot and eom."""
    found: dict[str, Value] = {}
    generation = folder.json("generation_config.json") or {}
    for short, long in NAMES.items():
        listed = generation.get(f"{short}_token_id")
        if isinstance(listed, list):
            numbers = [
                each
                for each in listed
                if isinstance(each, int) and not isinstance(each, bool) and 0 <= each < size
            ]
            if numbers:
                found[f"tokenizer.ggml.{long}_token_ids"] = numbers
    ends = found.get("tokenizer.ggml.eos_token_ids")
    if isinstance(ends, list):
        others = [each for each in dict.fromkeys(ends) if each != ids.get("eos")]
        for key, number in zip(("eot", "eom"), others, strict=False):
            found[f"tokenizer.ggml.{key}_token_id"] = number
    return found

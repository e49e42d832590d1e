"""`show`: what a model is, in sections, or one of its parts as it is."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tropa.cli import terminal
from tropa.cli.command import Call, UsageError
from tropa.cli.target import client
from tropa.client.client import Json
from tropa.library.modelfile.parameters import go_float
from tropa.text.table import format_rows

_PARTS = ("license", "modelfile", "parameters", "system", "template")
_ENDED = ("license", "modelfile", "parameters")
"""These are printed with a line end, the others as they are."""

_TEXT_LINES = 2
_LIST_WIDTH = 10
_CELL_WIDTH, _TEXT_WIDTH = 30, 100


def show(call: Call) -> int:
    wanted = [part for part in _PARTS if call.on(part)]
    if len(wanted) > 1:
        *most, last = (f"'--{part}'" for part in _PARTS)
        raise UsageError(f"only one of {', '.join(most)}, or {last} can be specified")
    (model,) = call.args
    verbose = call.on("verbose")
    answer = client().post("/api/show", {"model": model, "name": model, "verbose": verbose})
    if wanted:
        (part,) = wanted
        text = str(answer.get(part) or "") + ("\n" if part in _ENDED else "")
    else:
        text = model_sections(answer, verbose=verbose)
    sys.stdout.write(terminal.safe(text, sys.stdout))  # whoever made the model wrote its license
    return 0


def model_sections(answer: Json, *, verbose: bool = False) -> str:
    """What `show` prints for an answer of `POST /api/show`: the sections that have something in them."""
    sections: list[tuple[str, Sequence[Sequence[str]]]] = [
        ("Model", list(_model(answer))),
        ("Capabilities", [(each,) for each in answer.get("capabilities") or []]),
        ("Projector", list(_projector(answer.get("projector_info") or {}))),
        ("Parameters", [tuple(line.split()) for line in (answer.get("parameters") or "").splitlines()]),
    ]
    if verbose:
        sections += [
            ("Metadata", [(key, _value(value)) for key, value in sorted(_info(answer).items())]),
            ("Tensors", [_tensor(tensor) for tensor in answer.get("tensors") or []]),
        ]
    sections += [
        ("System", [(line,) for line in _first_lines(answer.get("system") or "")]),
        ("License", [(line,) for line in _first_lines(answer.get("license") or "")]),
    ]
    return "".join(_section(title, rows) for title, rows in sections if rows)


def _section(title: str, rows: Sequence[Sequence[str]]) -> str:
    width = _TEXT_WIDTH if title in {"System", "License"} else _CELL_WIDTH
    lines = [line for row in rows for line in _wrapped(row, width)]
    return f"  {title}\n{format_rows(lines, '    ')}\n"


def _wrapped(row: Sequence[str], width: int) -> list[tuple[str, ...]]:
    """Cells of several words that are too wide go on in further rows."""
    if all(len(cell) <= width for cell in row):
        return [tuple(row)]
    import textwrap

    cells = [textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) for cell in row]
    return list(itertools.zip_longest(*cells, fillvalue=""))


def _model(answer: Json) -> Iterable[tuple[str, str]]:
    details, info = answer.get("details") or {}, _info(answer)
    architecture = str(info.get("general.architecture") or details.get("family") or "")
    if remote := answer.get("remote_model"):
        yield "Remote model", str(remote)
        yield "Remote URL", str(answer.get("remote_host", ""))
    rows = (
        ("architecture", architecture),
        ("parameters", details.get("parameter_size") or _parameters(info)),
        ("context length", _number(info.get(f"{architecture}.context_length"))),
        ("embedding length", _number(info.get(f"{architecture}.embedding_length"))),
        ("quantization", details.get("quantization_level")),
        ("requires", answer.get("requires")),
    )
    yield from ((title, str(value)) for title, value in rows if value)


def _projector(info: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    architecture = str(info.get("general.architecture") or "")
    rows = (
        ("architecture", architecture),
        ("parameters", _parameters(info)),
        ("embedding length", _number(info.get(f"{architecture}.vision.embedding_length"))),
        ("dimensions", _number(info.get(f"{architecture}.vision.projection_dim"))),
    )
    yield from ((title, str(value)) for title, value in rows if value)


def _info(answer: Json) -> Mapping[str, Any]:
    info = answer.get("model_info") or {}
    return info if isinstance(info, dict) else {}


def _parameters(info: Mapping[str, Any]) -> str:
    count = info.get("general.parameter_count")
    if not isinstance(count, int | float) or not count:
        return ""
    for size, decimals, unit in ((1e9, 1, "B"), (1e6, 2, "M"), (1e3, 0, "K")):
        if count >= size:
            whole = count % size == 0
            return f"{count / size:.{0 if whole else decimals}f}{unit}"
    return str(count)


def _number(value: object) -> str:
    return str(int(value)) if isinstance(value, int | float) and value else ""


def _value(value: object) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case int() | float():
            return go_float(float(value))
        case list():
            return _list(value)
        case _:
            return str(value)


def _list(items: list[object]) -> str:
    """`[a b c ...+N more]`: as many as fit into ten columns."""
    shown: list[str] = []
    for item in items:
        text = _value(item)
        if len(" ".join((*shown, text))) > _LIST_WIDTH:
            break
        shown.append(text)
    if len(shown) == len(items):
        return f"[{' '.join(shown)}]"
    return f"[{' '.join((*shown, f'...+{len(items) - len(shown)} more'))}]"


def _tensor(tensor: Mapping[str, Any]) -> tuple[str, ...]:
    dims = " ".join(str(each) for each in tensor.get("shape") or [])
    return str(tensor.get("name", "")), str(tensor.get("type", "")), f"[{dims}]"


def _first_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[:_TEXT_LINES] + ["..."] * (len(lines) > _TEXT_LINES)

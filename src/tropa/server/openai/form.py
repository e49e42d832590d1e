"""Bodies of the type `multipart/form-data`: fields and one file. All of it stays in memory; a file's name is not
looked at."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.types import Receive, Scope

from tropa.server.body import BadRequest
from tropa.server.reading import BadField
from tropa.server.respond import ClientGone

MOST_FIELDS = 200
MOST_FIELD = 256 << 10  # bytes of a field that is no file

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no", "")


@dataclass(slots=True)
class Form:
    """Fields by name, in their order; `files` by name too. `name[]` is the same as `name`."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The last of that name; empty when it is left out."""
        return self.fields.get(name, [""])[-1].strip()

    def texts(self, name: str) -> list[str]:
        """All of that name that are not empty."""
        return [text for each in self.fields.get(name, ()) if (text := each.strip())]

    def flag(self, name: str) -> bool:
        value = self.text(name).lower()
        if value not in (*_TRUE, *_FALSE):
            raise BadField(name, f'must be true or false, not "{value[:80]}"')
        return value in _TRUE

    def number(self, name: str) -> float | None:
        """Raises BadField for what is none, and for infinite ones."""
        if not (value := self.text(name)):
            return None
        try:
            number = float(value)
        except ValueError:
            raise BadField(name, f'must be a number, not "{value[:80]}"') from None
        if not abs(number) < float("inf"):
            raise BadField(name, "is out of range")
        return number

    def inside(self, name: str) -> dict[str, str]:
        """`name[key]`, as clients write an object in a form: its keys and values."""
        start = f"{name}["
        return {
            key[len(start) : -1]: values[-1]
            for key, values in self.fields.items()
            if key.startswith(start) and key.endswith("]") and len(key) > len(start) + 1
        }


async def read_form(scope: Scope, receive: Receive) -> Form:
    """The whole form. Raises BadRequest for what is none, or is cut off; ClientGone."""
    headers = Headers(scope=scope)
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise _broken("the request's Content-Type is not multipart/form-data")
    whole, broken = _parser()
    parser = whole(headers, _chunks(receive), max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD)
    try:
        found = await parser.parse()
    except broken as exc:
        raise _broken(str(exc)) from exc
    if not parser.ended:
        raise _broken("the body ends before its last boundary")
    form = Form()
    for name, value in found.multi_items():
        name = name.removesuffix("[]")
        if isinstance(value, UploadFile):
            form.files[name] = await value.read()
            await value.close()
        else:
            form.fields.setdefault(name, []).append(value)
    return form


def _broken(why: str) -> BadRequest:
    return BadRequest(f"failed to parse multipart form: {why}")


async def _chunks(receive: Receive) -> AsyncGenerator[bytes, None]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


@cache
def _parser() -> tuple[Any, type[Exception]]:
    """Starlette's, and what it raises. Late: hardly any server is sent a form."""
    from starlette.formparsers import MultiPartException, MultiPartParser

    class Whole(MultiPartParser):
        """Never touches the disk, and knows whether the form was whole."""

        spool_max_size = 1 << 40
        ended = False

        def on_end(self) -> None:
            self.ended = True

    return Whole, MultiPartException

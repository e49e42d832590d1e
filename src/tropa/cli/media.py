"""Images and sounds that a prompt names by their paths: found in the text, checked, and sent in its place.

A path is what begins like one (`/`, `./`, `../`, `~/`, a drive letter, `file://`), ends like an image or a sound, and
names a file that is there. Terminals paste files that are dropped on them in quotes, with backslashes before blanks, as
they are, or as an address: all of that is understood. Everything else stays text.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tropa.errors import TropaError

IMAGE, AUDIO = "image", "audio"
LARGEST = 100 << 20
"""Bytes of one file."""

KINDS = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp"), IMAGE),
    **dict.fromkeys((".wav", ".mp3", ".flac"), AUDIO),
}
"""By the end of the name, in small letters."""

_NOUNS = {IMAGE: "images", AUDIO: "audio"}
_ONE = {IMAGE: "an image", AUDIO: "a sound"}
_CAPABILITIES = {"vision": IMAGE, "audio": AUDIO}
_START = r"(?:file://(?:localhost)?(?=/)|[A-Za-z]:[\\/]|~[A-Za-z0-9_.-]*[\\/]|\.{0,2}(?!//)[\\/])"
_BEGINS = re.compile(r"(?<![A-Za-z0-9_./~\\-])" + _START)  # not in the middle of a word, nor of a path
_ENDS = re.compile(r"\.(?:jpe?g|png|webp|wav|mp3|flac)(?![A-Za-z0-9_-]|\.[A-Za-z0-9])", re.IGNORECASE)
_BLANK = re.compile(r"(?<!\\)[ \t]")
_STOPS = re.compile(
    r'[\n<>"]|(?<!\\)[ \t]' + f"(?={_START})"
)  # what no path is expected to hold; or the next path
_LONGEST = 4096  # characters of a path
_LONGEST_NAME = 256
_TRIES = 8  # ends to look at from one beginning, since plain blanks may be part of a name
_QUOTES = {"'": "'", '"': '"', "`": "`", "“": "”", "\u2018": "\u2019"}
_BEFORE = " \t\n([{" + "".join(_QUOTES)
_PUNCTUATION = ".,;:!?()[]{}" + "".join({*_QUOTES, *_QUOTES.values()})
_SHOWN = 3


class MediaError(TropaError):
    """A file that was named can't be sent: it is something else, too large, or may not be read."""

    code = "media"


@dataclass(frozen=True, slots=True)
class Mention:
    """A path in a text, from `start` to `end` with the quotes round it. `there`: it names a file."""

    start: int
    end: int
    path: str
    there: bool

    @property
    def kind(self) -> str:
        return kind_of(self.path)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text without the paths of what goes with it. `images` are base64, and sounds are among them: they travel in
    the same field. `notes` are lines for the user."""

    text: str
    images: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piped:
    """An image or a sound that came through standard input."""

    kind: str
    data: bytes

    def attached(self, prompt: Prompt, takes: Collection[str], model: str) -> Prompt:
        """The prompt with this in front. Raises MediaError if it can't be sent."""
        if self.kind not in takes:
            raise MediaError(f"standard input is {_ONE[self.kind]}: {_refusal(self.kind, model)}")
        if len(self.data) > LARGEST:
            raise MediaError(f"standard input is too large: at most {LARGEST >> 20} MB can be sent")
        images = (base64.b64encode(self.data).decode(), *prompt.images)
        return Prompt(prompt.text, images, (f"Added {self.kind} from standard input", *prompt.notes))


def piped(data: bytes) -> Piped | None:
    """None for anything that is no image and no sound: it is taken for text."""
    kind = _sniffed(data)
    return Piped(kind, data) if kind else None


def taken_by(capabilities: Collection[str]) -> frozenset[str]:
    """The kinds of files that a model with these capabilities takes."""
    return frozenset(kind for capability, kind in _CAPABILITIES.items() if capability in capabilities)


def kind_of(path: str) -> str:
    """Nothing if the name does not end like an image or a sound."""
    return KINDS.get(path[path.rfind(".") :].lower(), "")


def attach(text: str, takes: Collection[str], model: str) -> Prompt:
    """Take in the files that `text` names, as far as the model takes their kinds. Raises MediaError."""
    found = [*mentions(text)]
    files = [mention for mention in found if mention.there and mention.kind in takes]
    images, notes = [], []
    for file in files:
        data, kind = _read(file.path)
        if kind not in takes:
            raise MediaError(f"'{file.path}' is {_ONE[kind]}: {_refusal(kind, model)}")
        images.append(base64.b64encode(data).decode())
        notes.append(f"Added {kind} '{file.path}'")
    rest = _without(text, files)
    return Prompt(rest, tuple(images), (*notes, *_notes(rest, found, takes, model)))


def file_at_start(line: str) -> Mention | None:
    """The image or sound with whose path a line begins that looks like a /command."""
    first = next(mentions(line), None) if line.startswith("/") else None
    return first if first is not None and first.start == 0 else None


def why_not(file: Mention, takes: Collection[str], model: str) -> str:
    """Why a file is not sent, for the user; nothing if it can be, or if none was meant."""
    if file.there:
        return "" if file.kind in takes else f"{_refusal(file.kind, model)}: '{file.path}'"
    return f"no such file: '{file.path}'" if file.kind in takes else ""


def mentions(text: str) -> Iterator[Mention]:
    """The paths of images and sounds in `text`, in order. A text of megabytes takes no time."""
    ends = [end.end() for end in _ENDS.finditer(text)]
    at = 0
    while ends and (begin := _BEGINS.search(text, at, ends[-1])):
        found = _mention(text, begin.start(), ends)
        if found is not None and (found.there or _stands_alone(text, found)):
            yield found
        at = found.end if found is not None and found.there else begin.end()


def _mention(text: str, start: int, ends: Sequence[int]) -> Mention | None:
    """The path that begins at `start`: up to the first end at which a file is there, else up to the first end."""
    stop = _STOPS.search(text, start, start + _LONGEST)
    limit = stop.start() if stop else start + _LONGEST
    first = None
    next_end = bisect_right(ends, start)
    for end in ends[next_end : next_end + _TRIES]:
        if end > limit:
            break
        raw = text[start:end]
        for name in _names(raw):
            if _is_file(name):
                return _with_quotes(text, Mention(start, end, name, there=True))
        first = first or Mention(start, end, raw, there=False)
    return first


def _names(raw: str) -> Iterator[str]:
    """What a path may stand for, as typed, quoted or escaped."""
    if raw.startswith("file://"):
        raw = unquote(raw.removeprefix("file://").removeprefix("localhost"))
    yield at_home(raw)
    if "'\\''" in raw:  # a ' inside of '…', as shells want it
        yield at_home(raw.replace("'\\''", "'"))
    if "\\" in raw:
        yield at_home(re.sub(r"\\(.)", r"\1", raw))


def at_home(path: str) -> str:
    """A path that begins with `~` or `~user`, written out."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:  # nobody of that name
        return path


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:  # too long for a name, or in a folder that we may not look into
        return False


def _with_quotes(text: str, found: Mention) -> Mention:
    before, after = text[found.start - 1 : found.start], text[found.end : found.end + 1]
    if before and _QUOTES.get(before) == after:
        return Mention(found.start - 1, found.end + 1, found.path, found.there)
    return found


def _stands_alone(text: str, found: Mention) -> bool:
    """Whether a name that is no file's was meant as a path: one word, and no part of another."""
    before = text[found.start - 1 : found.start]
    return not _BLANK.search(found.path) and (not before or before in _BEFORE)


def _without(text: str, files: Sequence[Mention]) -> str:
    if not files:
        return text
    kept, at = "", 0
    for file in files:
        kept += text[at : file.start]
        at = file.end
        if (not kept or kept[-1].isspace()) and text[at : at + 1] == " ":
            at += 1
    return (kept + text[at:]).strip()


def _notes(text: str, found: Sequence[Mention], takes: Collection[str], model: str) -> Iterator[str]:
    """Why a name that looks like a file's stayed text. `text` is what is left."""
    for kind in _NOUNS:
        if kind not in takes and (paths := [each.path for each in found if each.there and each.kind == kind]):
            yield f"{_refusal(kind, model)}, left in the text: {_listed(paths)}"
    if missing := [each.path for each in found if not each.there and each.kind in takes]:
        yield f"not found, left in the text: {_listed(missing)}"
    if takes and (bare := [*_bare(text, takes)]):
        yield f"left in the text: {_listed(bare)} (to send a file of this folder, write ./{bare[0]})"


def _refusal(kind: str, model: str) -> str:
    return f'model "{model}" takes no {_NOUNS[kind]}'


def _bare(text: str, takes: Collection[str]) -> Iterator[str]:
    """Names of files in this folder that stand there without a `./`."""
    for end in _ENDS.finditer(text):
        name = text[max(0, end.end() - _LONGEST_NAME) : end.end()].rsplit(None, 1)[-1].lstrip(_PUNCTUATION)
        if kind_of(name) in takes and not _BEGINS.match(name) and _is_file(name):
            yield name


def _listed(paths: Sequence[str]) -> str:
    unique = [*dict.fromkeys(paths)]
    shown = ", ".join(f"'{path}'" for path in unique[:_SHOWN])
    return shown + (f" and {len(unique) - _SHOWN} more" if len(unique) > _SHOWN else "")


def _read(path: str) -> tuple[bytes, str]:
    """The file's bytes, and what kind they are by themselves."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
        raise MediaError(f"cannot read '{path}': {why[0].lower()}{why[1:]}") from exc
    if len(data) > LARGEST:
        raise MediaError(f"'{path}' is too large: at most {LARGEST >> 20} MB can be sent")
    kind = _sniffed(data)
    if not kind:
        what = "an empty file" if not data else "no JPEG, PNG, WebP, WAV, MP3 or FLAC file"
        raise MediaError(f"invalid file type: '{path}' is {what}")
    return data, kind


def _sniffed(data: bytes) -> str:
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        return IMAGE
    if data.startswith(b"RIFF"):
        return {b"WEBP": IMAGE, b"WAVE": AUDIO}.get(data[8:12], "")
    if data[:3] == b"ID3" and data[3:4] in b"\2\3\4":
        return AUDIO
    if data[:4] == b"fLaC" and data[4:5] in b"\x00\x80":
        return AUDIO
    if data[:1] == b"\xff" and b"\xe0" <= data[1:2] < b"\xfe":
        return AUDIO  # an MP3 may begin with its first frame; \xff\xfe begins texts
    return ""

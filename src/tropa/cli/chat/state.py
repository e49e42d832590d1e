"""What a chat is between two lines of input, and what a line may ask of the world outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation. `images` (base64) are sounds too."""

    role: str
    content: str
    thinking: str = ""
    images: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        message: dict[str, object] = {"role": self.role, "content": self.content}
        more = {"thinking": self.thinking, "images": list(self.images)}
        return message | {key: value for key, value in more.items() if value}


@dataclass(frozen=True, slots=True)
class Open:
    '''A text in """ that is not closed yet: for a message, or for `/set system`.'''

    lines: tuple[str, ...]
    system: bool = False


@dataclass(frozen=True, slots=True)
class Chat:
    """Immutable, so that a failed answer can't leave half a change behind.

    `stored` are the messages that the model brings along; the server puts them in front by itself.
    `takes` are the kinds of files that can be sent to it.
    """

    model: str
    can_think: bool = False
    takes: frozenset[str] = frozenset()
    stored: tuple[Turn, ...] = ()
    turns: tuple[Turn, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    format: object = None
    think: bool | str | None = None
    keep_alive: str | int | None = None
    hide_thinking: bool = False
    verbose: bool = False
    wrap: bool = True
    raw: bool = False
    remember: bool = True
    open: Open | None = None

    @property
    def system(self) -> str:
        """The system message that the user set last, or nothing."""
        return next((turn.content for turn in reversed(self.turns) if turn.role == "system"), "")

    def request(self) -> dict[str, object]:
        """The body of `POST /api/chat` for the next answer."""
        body: dict[str, object] = {
            "model": self.model,
            "messages": [turn.as_json() for turn in self.turns],
            "options": dict(self.options),
        }
        wishes = {"format": self.format, "think": self.think, "keep_alive": self.keep_alive}
        return body | {key: value for key, value in wishes.items() if value is not None}

    def saved_as(self, name: str) -> dict[str, object]:
        """The body of `POST /api/create` that makes a model of this chat."""
        said = [turn for turn in (*self.stored, *self.turns) if turn.role != "system"]
        wishes: dict[str, object] = {
            "system": self.system,
            "parameters": dict(self.options),
            "messages": [{"role": turn.role, "content": turn.content} for turn in said],
        }
        return {"model": name, "from": self.model} | {key: value for key, value in wishes.items() if value}

    def said(self, turn: Turn) -> Chat:
        return replace(self, turns=(*self.turns, turn))

    def without_last(self) -> Chat:
        """As if the last message had never been typed: the server could not answer it."""
        return replace(self, turns=self.turns[:-1])

    def last_as(self, content: str, images: tuple[str, ...]) -> Chat:
        """The last message with the files that it named taken in."""
        return replace(
            self, turns=(*self.turns[:-1], replace(self.turns[-1], content=content, images=images))
        )

    def with_system(self, text: str, *, replacing: bool) -> Chat:
        """A system message that is the last thing said is replaced, else one more is added."""
        last_is_system = bool(self.turns) and self.turns[-1].role == "system"
        kept = self.turns[:-1] if replacing and last_is_system else self.turns
        return replace(self, turns=(*kept, Turn("system", text)))

    def cleared(self) -> Chat:
        system = self.system
        return replace(self, turns=(Turn("system", system),) if system else ())

    def interrupted(self) -> Chat:
        """Ctrl-C at the prompt drops what was being typed."""
        return replace(self, open=None)


@dataclass(frozen=True, slots=True)
class Tell:
    """Text for the user, with its line ends. `warning` is a line on standard error before it."""

    text: str
    aside: bool = False  # on standard error
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """Have the model answer what the chat holds."""


@dataclass(frozen=True, slots=True)
class Load:
    name: str


@dataclass(frozen=True, slots=True)
class Save:
    name: str


@dataclass(frozen=True, slots=True)
class Show:
    part: str


@dataclass(frozen=True, slots=True)
class ListModels:
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Bye:
    pass


Effect = Tell | Ask | Load | Save | Show | ListModels | Bye | None

"""How a chat is written down: ChatML, as text for the engine's template and as token ids for training."""

from dataclasses import dataclass, field

from tokenizers import Tokenizer

START = "<|im_start|>"
END = "<|im_end|>"
END_OF_TEXT = "<|endoftext|>"

TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `learn` says whether training should make the model write it."""

    role: str
    content: str
    learn: bool = False


@dataclass(slots=True)
class Row:
    """Token ids, with for each whether the model should predict it and where a new turn starts."""

    ids: list[int] = field(default_factory=list)
    learn: list[bool] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)

    def add(self, ids: list[int], *, learn: bool) -> None:
        """Append ids that are all learnt or all given."""
        self.ids += ids
        self.learn += [learn] * len(ids)


class Script:
    """Turns chats into rows. Answers recur, so encoded texts are remembered."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._seen: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, special tokens by their names included."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def _remembered(self, text: str) -> list[int]:
        if text not in self._seen:
            self._seen[text] = self.encode(text)
        return self._seen[text]

    def append(self, row: Row, turn: Turn) -> None:
        """Write one message at the end of the row.

        Cutting at the role line is safe: a line feed followed by a letter is a token of its own.
        """
        row.turns.append(len(row.ids))
        row.add(self._remembered(f"{START}{turn.role}\n"), learn=False)
        if turn.learn:
            row.add(self._remembered(turn.content + END), learn=True)
        else:
            row.add(self.encode(turn.content + END), learn=False)
        row.add(self._remembered("\n"), learn=False)

    def prompt(self, turns: list[Turn]) -> list[int]:
        """A chat up to the point where the assistant should answer."""
        row = Row()
        for turn in turns:
            self.append(row, turn)
        return [*row.ids, *self._remembered(f"{START}assistant\n")]

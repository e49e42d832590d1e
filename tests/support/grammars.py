"""Random texts of a grammar in llama.cpp's words, without an engine: hundreds in the time of one answer.

Understands what `tropa.schema` writes, and no more: literals, classes, references, groups, choices, repetitions.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(
    r'("(?:[^"\\]|\\.)*")|(\[(?:[^\]\\]|\\.)*\])|([a-zA-Z0-9-]+)|([()|])|([*+?]|\{\d+(?:,\d*)?\}) *| +'
)
ESCAPE = re.compile(r"\\(?:x([0-9A-F]{2})|u([0-9A-F]{4})|U([0-9A-F]{8})|(.))")
ENDLESS = 4
"""Repetitions more than the least, where a grammar sets no end."""
LONG = 1_500
"""Steps after which the shortest way is taken."""

Node = tuple[Any, ...]


def text_of(escaped: str) -> str:
    plain = {"n": "\n", "t": "\t", "r": "\r"}
    return ESCAPE.sub(
        lambda m: plain.get(m[4], m[4]) if m[4] else chr(int(m[1] or m[2] or m[3], 16)), escaped
    )


@dataclass
class Grammar:
    """`write` gives a text; the same for the same state of `rng`."""

    text: str
    long: int = LONG

    def __post_init__(self) -> None:
        self._rules = {name: _Parser(body).whole() for name, body in self._lines()}
        self._depths = dict.fromkeys(self._rules, 10**9)
        changed = True
        while changed:  # how deep the shortest way through each rule is
            changed = False
            for name, rule in self._rules.items():
                depth = self._depth(rule)
                if depth < self._depths[name]:
                    self._depths[name] = depth
                    changed = True

    def _lines(self) -> list[tuple[str, str]]:
        lines = []
        for line in self.text.splitlines():
            name, _, body = line.partition(" ::= ")
            lines.append((name, body))
        return lines

    def _depth(self, node: Node) -> int:
        match node:
            case ("ref", name):
                return self._depths[name] + 1
            case ("choice", parts):
                return min(map(self._depth, parts))
            case ("row", parts):
                return max([0, *map(self._depth, parts)])
            case ("times", part, least, _):
                return self._depth(part) if least else 0
            case _:
                return 0

    def write(self, rng: random.Random) -> str:
        out: list[str] = []
        stack: list[Node] = [("ref", "root")]
        steps = 0
        while stack:
            steps += 1
            match stack.pop():
                case ("literal", text):
                    out.append(text)
                case ("chars", ranges):
                    low, high = rng.choice(ranges)
                    out.append(chr(rng.choice([low, high, rng.randint(low, high)])))
                case ("ref", name):
                    stack.append(self._rules[name])
                case ("choice", parts):
                    stack.append(min(parts, key=self._depth) if steps > self.long else rng.choice(parts))
                case ("row", parts):
                    stack.extend(reversed(parts))
                case ("times", part, least, most):
                    most = least + ENDLESS if most is None else most
                    some = [
                        least,
                        min(most, least + 1),
                        rng.randint(least, min(most, least + 20)),
                        min(most, least + 250),
                    ]
                    stack.extend([part] * (least if steps > self.long else rng.choice(some)))
        return "".join(out)


class _Parser:
    def __init__(self, body: str) -> None:
        self._tokens = []
        at = 0
        while at < len(body):
            token = TOKEN.match(body, at)
            assert token, f"not understood: {body[at : at + 60]}"
            if token[0].strip():
                self._tokens.append(token)
            at = token.end()
        self._at = 0

    def whole(self) -> Node:
        node = self._choice()
        assert self._at == len(self._tokens)
        return node

    def _choice(self) -> Node:
        parts = [self._row()]
        while self._at < len(self._tokens) and self._tokens[self._at][4] == "|":
            self._at += 1
            parts.append(self._row())
        return ("choice", parts)

    def _row(self) -> Node:
        parts: list[Node] = []
        while self._at < len(self._tokens) and self._tokens[self._at][4] not in ("|", ")"):
            token = self._tokens[self._at]
            self._at += 1
            if token[1]:
                parts.append(("literal", text_of(token[1][1:-1])))
            elif token[2]:
                parts.append(("chars", _ranges(token[2][1:-1])))
            elif token[3]:
                parts.append(("ref", token[3]))
            elif token[4]:
                parts.append(self._choice())
                assert self._tokens[self._at][4] == ")"
                self._at += 1
            else:
                parts[-1] = ("times", parts[-1], *_counts(token[5]))
        return ("row", parts)


def _counts(text: str) -> tuple[int, int | None]:
    match text:
        case "*":
            return 0, None
        case "+":
            return 1, None
        case "?":
            return 0, 1
    low, comma, high = text[1:-1].partition(",")
    return int(low), int(high) if high else None if comma else int(low)


def _ranges(body: str) -> list[tuple[int, int]]:
    letters: list[tuple[str, bool]] = []
    at = 0
    while at < len(body):
        escape = ESCAPE.match(body, at)
        letters.append((text_of(escape[0]), False) if escape else (body[at], body[at] == "-"))
        at = escape.end() if escape else at + 1
    found = []
    at = 0
    while at < len(letters):
        if at + 2 < len(letters) and letters[at + 1][1]:
            found.append((ord(letters[at][0]), ord(letters[at + 2][0])))
            at += 3
        else:
            found.append((ord(letters[at][0]), ord(letters[at][0])))
            at += 1
    return found

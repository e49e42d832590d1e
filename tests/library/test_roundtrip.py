"""What `show --modelfile` prints makes the same model again, whatever its author wrote into it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from tropa.library.model import Details, Message, Model
from tropa.library.modelfile.parameters import DEPRECATED, FLOATS, INTS, KNOWN
from tropa.library.modelfile.request import request
from tropa.library.modelfile.syntax import ROLES, Command, InvalidModelfile, parse
from tropa.library.name import Name
from tropa.library.show import modelfile

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(' \t\n\r"#\\'), max_size=30)
SCALARS = {
    **dict.fromkeys(
        INTS, st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-(1 << 50), 1 << 50).map(float)
    ),
    **dict.fromkeys(
        FLOATS, st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-99, 99)
    ),
    "use_mmap": st.booleans(),
    "stop": st.lists(TEXTS, min_size=1, max_size=3),
}
PARAMS = st.fixed_dictionaries({}, optional=SCALARS)
OTHERS = st.dictionaries(
    TEXTS | st.sampled_from(["tfs_z", "num_gqa", "a\nFROM evil"]), st.integers() | TEXTS, max_size=2
)
MESSAGES = st.lists(st.builds(Message, st.sampled_from([*ROLES, "tool", "", "a\nFROM b"]), TEXTS), max_size=3)


def model(**fields: object) -> Model:
    return Model(Name.parse("me/x"), "", 0, datetime.now(UTC), Details(), **fields)  # type: ignore[arg-type] # what a test gives


def expressible(kind: str, value: str, key: str = "") -> bool:
    try:
        return parse(f"FROM x\n{Command(kind, value, key)}\n").commands[1:] == (Command(kind, value, key),)
    except InvalidModelfile:
        return False


@given(TEXTS, TEXTS, st.lists(TEXTS.filter(bool), max_size=2), PARAMS, OTHERS, MESSAGES)
@example('a"\nb"""\nc', "", [], {}, {}, [])
@example("", "", [], {"num_ctx": 1048576.0, "stop": ["", '"', " a ", 'b"\n']}, {}, [])
def test_a_shown_modelfile_makes_the_model_again(
    system: str,
    template: str,
    licenses: list[str],
    params: dict[str, object],
    others: dict[str, object],
    messages: list[Message],
) -> None:
    shown = modelfile(
        model(
            system=system,
            template=template,
            licenses=tuple(licenses),
            params={**others, **params},
            messages=messages,
            renderer="a b",
            parser="p",
            requires="0.14.0",
        )
    )
    made = request(parse(shown), Path("/nowhere"))
    fields = made.fields
    assert fields["from"] == "me/x:latest"
    assert made.files == {}, "no text becomes an instruction"
    assert (fields["renderer"], fields["parser"], fields["requires"]) == ("a b", "p", "0.14.0")
    if expressible("system", system):
        assert fields.get("system", "") == system
    if expressible("template", template):
        assert fields["template"] == (template or "{{ .Prompt }}")
    if all(expressible("license", text) for text in licenses):
        assert fields.get("license", []) == licenses
    told = [each for each in messages if each.role in ROLES]
    if all(expressible("message", each.content, each.role) for each in told):
        expected = [{"role": each.role, "content": each.content} for each in told]
        assert fields.get("messages", []) == expected
    options = fields.get("parameters", {})
    assert isinstance(options, dict)
    known = {**others, **params}
    known = {key: value for key, value in known.items() if key in KNOWN and key not in DEPRECATED}
    for key, value in known.items():
        texts = value if isinstance(value, list) else []
        if all(expressible("parameter", text, "stop") for text in texts):
            assert options[key] == value


@given(TEXTS)
def test_what_cannot_be_said_is_a_comment_and_harms_nothing_after_it(text: str) -> None:
    shown = modelfile(model(system=text, licenses=("the end",)))
    assert parse(shown).commands[-1] == Command("license", "the end")
    assert ("# A Modelfile can't say exactly this" in shown) == bool(text and not expressible("system", text))

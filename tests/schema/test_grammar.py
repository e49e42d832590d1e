"""Every text that a schema's grammar lets through is JSON that fits the schema; what can't be promised is refused."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.grammars import LONG, Grammar
from tests.support.schemas import FORMATS, PATTERNS, formats_checked, random_schema, wrong
from tropa.schema.compile import grammar
from tropa.schema.errors import BadSchema, TooLarge

REMARKS = ("int32", "password")


def texts(schema: Any, count: int = 40, seed: int = 1, long: int = LONG) -> list[str]:
    rng = random.Random(seed)
    written = Grammar(grammar(schema), long)
    return [written.write(rng) for _ in range(count)]


def values(schema: Any, count: int = 40) -> list[Any]:
    """That each of them fits is asserted."""
    found = []
    for text in texts(schema, count):
        assert not wrong(schema, text), text
        found.append(json.loads(text))
    return found


def refused(schema: Any) -> str:
    with pytest.raises(BadSchema) as caught:
        grammar(schema)
    return str(caught.value)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_whatever_is_written_fits(seed: int) -> None:
    """`python -m tests.schema.soak` goes on for as long as one likes."""
    schema = random_schema(random.Random(seed))
    try:
        found = texts(schema, 4, seed)
    except BadSchema:
        return
    for text in found:
        assert not wrong(schema, text), (schema, text)


def test_few_random_schemas_are_refused() -> None:
    """Or the test above would say nothing."""
    complaints = []
    for seed in range(100):
        try:
            grammar(random_schema(random.Random(seed)))
        except BadSchema as exc:
            complaints.append(str(exc))
    assert len(complaints) < 25
    assert [
        text for text in complaints if "contradicts itself" not in text and not text.startswith("#")
    ] == []


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in REMARKS])
def test_formats(name: str) -> None:
    assert name in formats_checked(), f"the judge does not know {name}: are its extras installed?"
    assert len(set(values({"type": "string", "format": name}))) > 3


EXAMPLES = {
    "date": ["2024-02-29", "1999-12-31", "0001-01-01"],
    "date-time": ["2026-11-23T07:14:03Z", "2026-11-23T07:14:03.25+01:00"],
    "time": ["07:14:03Z"],
    "duration": ["P3D", "PT1H30M", "P1Y2M3DT4H5M6S", "P2W"],
    "email": ["jane.doe+x@mail.example.com"],
    "hostname": ["www.example.com"],
    "ipv4": ["127.0.0.1", "255.255.255.255"],
    "ipv6": ["::1", "2001:db8::ff00:42:8329", "fe80:0:0:0:0:0:0:1"],
    "uri": [
        "https://example.com/a/b?c=d#e",
        "http://localhost:8080",
        "mailto:a@b.org",
        "urn:isbn:0451450523",
    ],
    "uuid": ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6"],
}
NO_EXAMPLES = {
    "date": ["2023-02-29", "1900-02-29", "2024-04-31", "0000-01-01", "2024-13-01"],
    "time": ["24:00:00Z", "07:14:03"],
    "ipv4": ["256.0.0.1", "01.2.3.4"],
    "ipv6": [":::1", "1:2:3:4:5:6:7:8:9"],
    "hostname": ["-a.com", "a..com"],
}


def accepts(schema: Any, value: str) -> bool:
    """Whether this string could be written: with itself as the only choice, something is left."""
    try:
        grammar({"allOf": [schema, {"const": value}]})
    except BadSchema:
        return False
    return True


@pytest.mark.parametrize("name", EXAMPLES)
def test_formats_have_room_for_what_people_write(name: str) -> None:
    schema = {"type": "string", "format": name}
    assert [text for text in EXAMPLES[name] if not accepts(schema, text)] == []
    assert [text for text in NO_EXAMPLES.get(name, []) if accepts(schema, text)] == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern: str) -> None:
    for value in values({"type": "string", "pattern": pattern}):
        assert re.search(pattern, value)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(PATTERNS), st.text(alphabet='abcfoyz019-./@ é"\\\n', max_size=7))
def test_a_pattern_has_room_for_what_it_matches(pattern: str, text: str) -> None:
    """In ASCII, where all dialects agree; but not with a line break, in which they don't."""
    if text.isascii() and "\n" not in text:
        assert accepts({"pattern": pattern}, text) == bool(re.search(pattern, text))


BOUNDS = st.one_of(
    st.none(), st.integers(-300, 300), st.integers(-3000, 3000).map(lambda number: number / 100)
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.booleans(), BOUNDS, BOUNDS, st.booleans(), st.booleans(), st.sampled_from([None, None, 3, 7, 10]))
def test_numbers_between_bounds(
    integer: bool, low: float | None, high: float | None, above: bool, below: bool, multiple: int | None
) -> None:
    schema: dict[str, Any] = {"type": "integer" if integer else "number"}
    if low is not None:
        schema["exclusiveMinimum" if above else "minimum"] = low
    if high is not None:
        schema["exclusiveMaximum" if below else "maximum"] = high
    if multiple is not None:
        schema["multipleOf"] = multiple
    try:
        values(schema, 20)
    except BadSchema:
        assert all(wrong(schema, str(number)) for number in range(-310, 311))
        return
    for number in {*range(-4, 5), 300, -300}:
        assert accepts_number(schema, number) == (not wrong(schema, str(number)))


def accepts_number(schema: Any, value: float) -> bool:
    try:
        grammar({"allOf": [schema, {"const": value}]})
    except BadSchema:
        return False
    return True


def test_every_value_between_narrow_bounds_comes() -> None:
    assert {*values({"type": "integer", "minimum": -2, "maximum": 11}, 900)} == {*range(-2, 12)}
    assert {*values({"type": "number", "minimum": 0.5, "maximum": 1, "multipleOf": 0.25}, 200)} == {
        0.5,
        0.75,
        1,
    }


FITTING: list[tuple[Any, set[str]]] = [
    ({"const": 'a"\\\n\u0001é😀'}, {json.dumps('a"\\\n\u0001é😀', ensure_ascii=False)}),
    ({"enum": [None, True, 1.5, "x"]}, {"null", "true", "1.5", '"x"'}),
    ({"enum": [1, "1"], "type": "string"}, {'"1"'}),
    ({"enum": ["a", "ab", "abc", "b"], "minLength": 2}, {'"ab"', '"abc"'}),
    ({"type": ["null", "boolean"]}, {"null", "true", "false"}),
    ({"properties": {"a": {"const": 1}}, "required": ["a"]}, {'{"a":1}'}),
    ({"allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["a"]}]}, {'{"a":1}'}),
    ({"type": "integer", "anyOf": [{"required": ["a"]}, {"minimum": 1, "maximum": 1}]}, {"1"}),
    ({"allOf": [{"type": ["string", "null"]}, {"type": ["integer", "null"]}]}, {"null"}),
    ({"anyOf": [{"const": 1}, {"const": 2}], "minimum": 2}, {"2"}),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 1}}}, {"1"}),
    ({"$ref": "#here", "$defs": {"x": {"$anchor": "here", "const": 1}}}, {"1"}),
    ({"$ref": "#/$defs/a", "maximum": 3, "$defs": {"a": {"type": "integer", "minimum": 3}}}, {"3"}),
    ({"type": "integer", "minimum": 3, "exclusiveMaximum": True, "maximum": 4}, {"3"}),
    ({"items": [{"const": 1}], "additionalItems": False, "type": "array", "minItems": 1}, {"[1]"}),
    ({"definitions": {"a": {"const": 1}}, "$ref": "#/definitions/a"}, {"1"}),
    ({"type": "array", "uniqueItems": True, "maxItems": 2, "items": {"type": "boolean"}}, {
        "[]", "[true]", "[false]", "[true,false]", "[false,true]"}),
    ({"type": "object", "properties": {"a": {"const": 1}, "b": False}}, {"{}", '{"a":1}'}),
    ({"type": "object", "propertyNames": {"enum": ["a"]}, "additionalProperties": {"const": 1}}, {"{}", '{"a":1}'}),
    ({"type": "object", "required": ["a"], "patternProperties": {"^a": {"const": 1}}, "maxProperties": 1}, {'{"a":1}'}),
    ({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}, "minProperties": 2}, {'{"a":1,"b":2}'}),
    ({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}, "dependentRequired": {"a": ["b"]}}, {
        "{}", '{"b":2}', '{"a":1,"b":2}'}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "all_texts"),
    FITTING,
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_just_this_is_written(schema: Any, all_texts: set[str]) -> None:
    found = {
        json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")) for text in texts(schema, 200)
    }
    assert found == {
        json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")) for text in all_texts
    }


def test_members_stay_in_their_order_and_no_others_come_unasked() -> None:
    schema = {
        "type": "object",
        "properties": {"b": {"type": "null"}, "a": {"type": "null"}},
        "required": ["a"],
    }
    assert {tuple(value) for value in values(schema)} == {("a",), ("b", "a")}
    assert any({*value} - {"a", "b"} for value in values(schema | {"additionalProperties": True}))


def test_an_extra_member_is_never_a_known_one_in_disguise() -> None:
    """An escape would be another spelling of the same name."""
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": {"type": "string"}}
    assert any(len(value) > 1 for value in values(schema, 300))


def test_large_counts_are_kept_to_the_letter() -> None:
    """The engine takes more than 2000 repetitions for endless ones."""
    schema = {"type": "array", "items": {"const": 1}, "minItems": 2345, "maxItems": 2347}
    assert {len(json.loads(text)) for text in texts(schema, 30, long=50_000)} == {2345, 2346, 2347}
    assert all(
        3000 <= len(value) <= 3001
        for value in values({"type": "string", "minLength": 3000, "maxLength": 3001}, 5)
    )


def test_space_has_an_end() -> None:
    schema = {"type": "array", "items": {"const": 1}}
    assert all(len(run) <= 33 for text in texts(schema, 200) for run in re.findall(r"\s+", text))


REFUSED: list[tuple[Any, str]] = [
    ({"type": "strnig"}, "#/type"),
    ({"properties": {"a": {"type": 5}}}, "#/properties/a/type"),
    ({"properties": {"a": 5}}, "#/properties/a must be a schema"),
    ({"properties": []}, "#/properties must be an object"),
    ({"type": "string", "pattern": "(("}, "#/pattern"),
    ({"type": "string", "pattern": "a(?=b)"}, "look-around"),
    ({"type": "string", "pattern": "^(?!a)b|c"}, "look-ahead"),
    ({"type": "string", "pattern": "(a)\\1"}, "\\1 (not supported)"),
    ({"type": "string", "minLength": "3"}, "#/minLength"),
    ({"type": "string", "minLength": -1}, "#/minLength"),
    ({"type": "number", "minimum": "3"}, "#/minimum"),
    ({"type": "number", "multipleOf": 0}, "#/multipleOf"),
    ({"enum": []}, "#/enum is empty"),
    ({"enum": "x"}, "#/enum must be a list"),
    ({"anyOf": []}, "#/anyOf is empty"),
    ({"$ref": "#/nowhere"}, '#/$ref "#/nowhere" leads nowhere'),
    ({"$ref": "https://example.com/schema"}, "leads out of the schema"),
    ({"$ref": "#"}, "contradicts itself"),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "contradicts itself"),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "contradicts itself"),
    ({"type": "string", "pattern": "^a$", "minLength": 2}, "contradicts itself"),
    ({"allOf": [{"type": "string"}, {"type": "null"}]}, "contradicts itself"),
    (False, "false"),
    ({"properties": {"a": {"not": {"const": 1}}}}, "#/properties/a/not is not supported"),
    ({"if": {}, "then": {}}, "#/if is not supported"),
    ({"contains": {"const": 1}}, "#/contains is not supported"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "#/oneOf has alternatives (0 and 1)"),
    ({"oneOf": [{"type": "string"}, {"required": ["a"]}]}, "#/oneOf has alternatives (0 and 1)"),
    ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "#/uniqueItems"),
    ({"type": "object", "minProperties": 5}, "#/minProperties"),
    ({"type": "object", "required": "a"}, "#/required"),
    ({"dependentSchemas": {"a": {}}}, "#/dependentSchemas"),
]


@pytest.mark.parametrize(("schema", "said"), REFUSED, ids=lambda value: json.dumps(value)[:60])
def test_what_cannot_be_promised_is_refused_by_name(schema: Any, said: str) -> None:
    assert said in refused(schema)


def test_alternatives_of_oneof_may_be_told_apart_in_many_ways() -> None:
    tagged = [{"type": "object", "properties": {"k": {"const": k}}, "required": ["k"]} for k in "abc"]
    values({"oneOf": tagged})
    values(
        {"oneOf": [{"type": "string"}, {"type": "null"}, {"type": "integer", "minimum": 3}, {"const": 2.5}]}
    )
    closed = {"additionalProperties": False, "type": "object"}
    values({"oneOf": [closed | {"properties": {k: {}}, "required": [k]} for k in "ab"]})
    values({"oneOf": [{"pattern": "^a", "type": "string"}, {"pattern": "^b", "type": "string"}]})


def nested(depth: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


CHAIN = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(5000)}
HUGE: dict[str, Any] = {
    "deep": nested(200),
    "very deep": nested(50_000),
    "chain": {"$ref": "#/$defs/a0", "$defs": CHAIN | {"a5000": {"type": "string"}}},
    "many values": {"enum": [*range(60_000)]},
    "long words": {"enum": [str(number) * 20_000 for number in range(50)]},
    "product": {"allOf": [{"anyOf": [{"properties": {f"{i}{j}": {}}} for j in range(10)]} for i in range(8)]},
    "catastrophic": {"type": "string", "pattern": "^(a|b)*a(a|b){20}$"},
    "counted": {"type": "string", "pattern": "^((a{100}){100}){100}$"},
    "optional": {"type": "object", "properties": {f"p{number}": {} for number in range(3000)}},
    "counted members": {
        "type": "object",
        "properties": {f"p{i}": {} for i in range(150)},
        "minProperties": 70,
    },
    "automata": {
        "properties": {
            f"p{i}": {"type": "string", "format": "email", "maxLength": 100 + i} for i in range(100)
        }
    },
    "remainders": {"type": "integer", "multipleOf": 1_000_003},
}


@pytest.mark.parametrize("name", HUGE)
def test_a_schema_that_would_cost_too_much_is_refused(name: str) -> None:
    """Within about a second each; a test that is one of time would fail on a busy machine."""
    with pytest.raises(TooLarge):
        grammar(HUGE[name])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}, "maxItems": 100_000},
        {"type": "string", "maxLength": 10**12},
        {"type": "string", "pattern": "^[a-z]{1000}$"},
        {"type": "string", "pattern": "^(a+)+$"},
        {"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083},
        {"enum": [f"word {number} of many" for number in range(3000)]},
        {"type": "object", "properties": {f"p{number}": {} for number in range(200)}},
        nested(60),
    ],
    ids=lambda schema: json.dumps(schema)[:50],
)
def test_what_looks_expensive_and_is_not(schema: Any) -> None:
    assert len(grammar(schema)) < 200_000

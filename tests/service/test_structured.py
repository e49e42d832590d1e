"""Answers held to a schema, by the real engine with weak models, in every dialect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.schema import soak
from tests.support.places import short_folder
from tests.support.schemas import wrong
from tests.support.scripted import scripted
from tests.support.server import Server, serving
from tropa.schema.errors import BadSchema
from tropa.service.forms import Kept

GO = "{{ .Prompt }}<go>"
ROUTES = [route for route in soak.ROUTES if route != "tool"]
LEAF = {"kind": {"const": "leaf"}, "n": {"type": "integer"}}
PAIR = {"kind": {"const": "pair"}, "of": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}}
TAGGED: dict[str, Any] = {
    "$defs": {
        "leaf": {"type": "object", "properties": LEAF, "required": ["kind"]},
        "pair": {"type": "object", "properties": PAIR, "required": ["kind", "of"]},
    },
    "oneOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/pair"}],
}
LONG = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
ZONE = {"type": "object", "properties": {"zone": {"enum": ["UTC", "ü"]}}, "required": ["zone"]}


@pytest.fixture(scope="module")
def weak() -> Iterator[Server]:
    """Random weights try everything that they are let."""
    with short_folder() as folder, serving(folder, OLLAMA_NUM_PARALLEL="4") as server:
        soak.prepare(server, folder)
        path = scripted(folder / "stuck.gguf", {"<go>": ['"', "xy", "xy"]})
        server.create("stuck", path, template=GO)
        yield server


def test_random_schemas_in_every_dialect(weak: Server) -> None:
    """`python -m tests.schema.soak` goes on."""
    with ThreadPoolExecutor(2) as pool:
        found = [*pool.map(lambda seed: soak.ask(weak, seed), range(40))]
    assert [end for end in found if end.startswith("WRONG")] == []
    assert sum(end.startswith("stop") for end in found) > 12


@pytest.mark.parametrize("model", soak.MODELS)
def test_recursion_and_alternatives(weak: Server, model: str) -> None:
    for route in ROUTES:
        status, text, end = soak.answered(weak, route, model, TAGGED, soak.WILD | {"seed": 5}, think=True)
        assert status == 200, text
        assert end == "length" or not wrong(TAGGED, text)


@pytest.mark.parametrize("route", ROUTES)
def test_what_was_cut_off_says_so(weak: Server, route: str) -> None:
    assert soak.answered(weak, route, "spm", LONG, soak.WILD | {"num_predict": 20})[2] == "length"


@pytest.mark.parametrize("route", ROUTES)
def test_what_cannot_be_promised_is_refused_before_a_word(weak: Server, route: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "contains": {"const": 1}}}}
    status, text, _ = soak.answered(weak, route, "spm", schema, soak.WILD)
    assert status == 400
    assert "#/properties/a/contains is not supported" in text


def test_a_model_that_got_stuck_in_a_form_has_not_ended_it(weak: Server) -> None:
    """It said `stop`, and the text was no JSON."""
    asked = {"model": "stuck", "prompt": "a", "stream": False, "options": {"temperature": 0}}
    assert weak.post("/api/generate", asked).json["done_reason"] == "stop"
    held = weak.post("/api/generate", asked | {"format": {"type": "string"}}).json
    assert held["done_reason"] == "length"
    assert held["eval_count"] < 1000


def test_a_call_that_has_to_come_fits_its_tool(weak: Server) -> None:
    for seed in range(4):
        schema = {
            "type": "object",
            "properties": {"at": TAGGED["oneOf"][0]},
            "required": ["at"],
            "$defs": TAGGED["$defs"],
        }
        status, text, end = soak.answered(weak, "tool", "tooly", schema, soak.WILD | {"seed": seed})
        assert (status, end) == (200, "stop") or end == "length"
        assert end == "length" or not wrong(schema, text)


def test_a_tool_that_no_call_can_be_held_to_is_named(weak: Server) -> None:
    def tool(parameters: Any) -> dict[str, Any]:
        return {"type": "function", "function": {"name": "f", "parameters": parameters}}

    tools = [tool(ZONE), tool({"type": "object", "properties": {"a": {"not": {}}}})]
    body = {
        "model": "tooly",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": tools,
        "max_tokens": 5,
    }
    answer = weak.post("/v1/chat/completions", body | {"tool_choice": "required"})
    assert answer.status == 400
    assert "tools[1].function.parameters/properties/a/not" in answer.json["error"]["message"]
    assert weak.post("/v1/chat/completions", body).status == 200


def test_a_tool_that_would_keep_the_engine_busy_is_refused(weak: Server) -> None:
    """1500 members took it nine seconds, and then it said that it could not."""
    parameters = {
        "type": "object",
        "properties": {f"p{number}": {"type": "string"} for number in range(1500)},
    }
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    answer = weak.post("/api/chat", model="tooly", messages=[{"role": "user", "content": "Hi"}], tools=tools)
    assert (answer.status, answer.error) == (
        400,
        "tools[0]: the schema is too large: 500 members of one object are allowed",
    )


def test_log_probabilities_of_a_form(weak: Server) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    for model in ("spm", "bpe"):
        body = {
            "model": model,
            "messages": messages,
            "format": {"const": "abc"},
            "logprobs": True,
            "stream": False,
        }
        found = weak.post("/api/chat", body).json
        assert "".join(each["token"] for each in found["logprobs"]).strip() == '"abc"'


def test_a_schema_that_costs_much_is_nobody_elses_loss(weak: Server) -> None:
    costly = [{"type": "string", "pattern": f"^(a|b)*a(a|b){{{n}}}$"} for n in range(20, 26)]
    with ThreadPoolExecutor(6) as pool:
        refused = [
            pool.submit(soak.answered, weak, "/api/chat", "spm", schema, soak.WILD) for schema in costly
        ]
        others = [
            soak.answered(weak, "/api/chat", "spm", ZONE, soak.WILD | {"seed": seed}) for seed in range(8)
        ]
        assert {each.result()[0] for each in refused} == {400}
    assert all(status == 200 and not wrong(ZONE, text) for status, text, _ in others)
    assert weak.ps()["spm:latest"]["state"] == "ready"


async def test_a_grammar_is_made_once_however_many_ask() -> None:
    kept = Kept()
    asked = [asyncio.create_task(kept.grammar(json.loads(json.dumps(TAGGED)))) for _ in range(5)]
    await asyncio.sleep(0)
    asked[0].cancel()  # who leaves does not take it along
    first, *others = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert all(each is others[0] for each in others)
    assert await kept.grammar(TAGGED) is others[0]


async def test_old_grammars_go_when_there_are_too_many() -> None:
    kept = Kept(most=5000)
    first = await kept.grammar({"const": 0})
    for number in range(1, 10):
        await kept.grammar({"const": number})
    assert await kept.grammar({"const": 0}) is not first


async def test_what_was_refused_is_refused_again() -> None:
    kept = Kept()
    for _ in range(2):
        with pytest.raises(BadSchema):
            await kept.grammar({"enum": []})

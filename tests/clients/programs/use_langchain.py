"""langchain-ollama, unmodified.

Arguments: the server's URL, a question, its answer, a model that calls `now`, an embedding model. Ends with status 0
if all was as it should be.
"""

from __future__ import annotations

import asyncio
import math
import sys
from typing import Literal

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM
from pydantic import BaseModel

URL, QUESTION, ANSWER, CALLER, EMBEDDER = sys.argv[1:]


class Place(BaseModel):
    colour: Literal["red", "blue"]


class Trip(BaseModel):
    start: Place
    end: Place


@tool
def now(zone: str) -> str:
    """The time in a zone."""
    return f"noon in {zone}"


tiny = ChatOllama(model="tiny", base_url=URL, temperature=0, validate_model_on_init=True)
done = tiny.invoke(QUESTION)
assert done.content == ANSWER, done
assert done.response_metadata["done_reason"] == "stop", done
assert done.usage_metadata is not None
assert done.usage_metadata["output_tokens"] > 2, done
pieces = list(tiny.stream(QUESTION))
assert "".join(str(piece.content) for piece in pieces) == ANSWER, pieces
assert len(pieces) > 3, pieces
assert [each.content for each in tiny.batch([QUESTION] * 4)] == [ANSWER] * 4
assert OllamaLLM(model="tiny", base_url=URL, temperature=0).invoke(QUESTION) == ANSWER


async def streamed() -> str:
    return "".join([str(piece.content) async for piece in tiny.astream(QUESTION)])


assert asyncio.run(streamed()) == ANSWER

trip = tiny.with_structured_output(Trip, method="json_schema").invoke("Where to?")
assert isinstance(trip, Trip), trip

agent = ChatOllama(model=CALLER, base_url=URL, temperature=0).bind_tools([now])
asked = HumanMessage("What time is it?")
called = agent.invoke([asked])
(call,) = called.tool_calls
assert (call["name"], call["args"]) == ("now", {"zone": "UTC"}), called
told = now.invoke(call)
assert isinstance(told, ToolMessage), told
assert agent.invoke([asked, called, told]).content == "It is noon."
(call,) = [call for piece in agent.stream([asked]) for call in piece.tool_calls]
assert call["args"] == {"zone": "UTC"}, call

embeddings = OllamaEmbeddings(model=EMBEDDER, base_url=URL)
vectors = embeddings.embed_documents(["ba be", "do"])
assert [len(vector) for vector in vectors] == [128, 128]
assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-5) for vector in vectors)
assert len(embeddings.embed_query("ba")) == 128

with pytest.raises(ValueError, match="nosuch"):
    ChatOllama(model="nosuch", base_url=URL, validate_model_on_init=True)

"""llama-index with its Ollama chat and embeddings, unmodified.

Arguments: the server's URL, a question, its answer, a model that calls `now`, an embedding model. Ends with status 0
if all was as it should be.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Literal

import ollama
import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama
from pydantic import BaseModel

URL, QUESTION, ANSWER, CALLER, EMBEDDER = sys.argv[1:]


class Place(BaseModel):
    colour: Literal["red", "blue"]


class Trip(BaseModel):
    start: Place
    end: Place


def now(zone: str) -> str:
    """The time in a zone."""
    return f"noon in {zone}"


def model(name: str) -> Ollama:
    """Without a context length of its own choice it asks the server for the model's."""
    return Ollama(model=name, base_url=URL, temperature=0, request_timeout=120)


tiny, asked = model("tiny"), [ChatMessage(role="user", content=QUESTION)]
assert tiny.chat(asked).message.content == ANSWER
assert tiny.complete(QUESTION).text == ANSWER
pieces = [piece.delta for piece in tiny.stream_chat(asked)]
assert "".join(piece or "" for piece in pieces) == ANSWER, pieces
assert len(pieces) > 3, pieces
assert asyncio.run(tiny.achat(asked)).message.content == ANSWER

trip = tiny.as_structured_llm(Trip).chat([ChatMessage(role="user", content="Where to?")]).raw
assert isinstance(trip, Trip), trip

called = model(CALLER).chat_with_tools([FunctionTool.from_defaults(now)], user_msg="What time is it?")
(call,) = model(CALLER).get_tool_calls_from_response(called)
assert (call.tool_name, call.tool_kwargs) == ("now", {"zone": "UTC"}), call

embeddings = OllamaEmbedding(model_name=EMBEDDER, base_url=URL)
assert [len(each) for each in embeddings.get_text_embedding_batch(["ba be", "do"])] == [128, 128]
assert len(embeddings.get_query_embedding("ba")) == 128

with pytest.raises(ollama.ResponseError) as caught:
    model("nosuch").chat(asked)
assert caught.value.status_code == 404

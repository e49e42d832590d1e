"""litellm, unmodified, by way of both dialects.

Arguments: the server's URL, a question, its answer, a model with tools. Ends with status 0 if all was as it should be.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would ask the internet at its import

import litellm

URL, QUESTION, ANSWER, TOOLY = sys.argv[1:]
SCHEMA = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
TOOL = {"type": "function", "function": {"name": "paint", "parameters": SCHEMA}}

for prefix, base in (("openai", f"{URL}/v1"), ("anthropic", URL)):
    there = {"api_base": base, "api_key": "none", "temperature": 0, "max_tokens": 400}
    asked = [{"role": "user", "content": QUESTION}]
    done = litellm.completion(f"{prefix}/tiny", asked, **there)
    assert done.choices[0].message.content == ANSWER, done
    assert done.usage.completion_tokens > 2, done
    chunks = list(litellm.completion(f"{prefix}/tiny", asked, stream=True, **there))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER, chunks
    called = litellm.completion(f"{prefix}/{TOOLY}", asked, tools=[TOOL], tool_choice="required", **there)
    (call,) = called.choices[0].message.tool_calls
    assert call.function.name == "paint", called
    assert json.loads(call.function.arguments)["colour"] in ("red", "blue"), called
    try:
        litellm.completion(f"{prefix}/nosuch", asked, **there)
    except litellm.NotFoundError:
        pass
    else:
        raise AssertionError("a model that does not exist has answered")

"""Random schemas for as long as one likes, by a real engine with weak models: `python -m tests.schema.soak --help`.

Every answer that ended with `stop` has to fit its schema. Prints what did not, and fails then.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support import models
from tests.support.places import short_folder
from tests.support.schemas import random_schema, wrong
from tests.support.server import Server, serving
from tests.support.tooltemplate import THINKING, TOOLS

GO = "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}"
WILD = {"temperature": 1.3, "top_k": 0, "top_p": 1, "min_p": 0, "num_predict": 300}
ROUTES = (
    "/api/chat",
    "/api/generate",
    "raw",
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "tool",
)
MODELS = ("tiny", "spm", "bpe", "think")


def prepare(server: Server, folder: Any) -> None:
    """The models: a SentencePiece vocabulary, a byte-level one with a Go template, one that calls tools,
    one that thinks."""
    server.create("spm", models.llama(folder / "spm.gguf"))
    server.create("bpe", models.chatglm(folder / "bpe.gguf"), template=GO)
    server.create("tooly", models.llama(folder / "tooly.gguf", template=TOOLS, seed=2))
    server.create("think", models.llama(folder / "think.gguf", template=THINKING, seed=3))


def ask(server: Server, seed: int) -> str:
    """How one answer ended, or what is wrong with it."""
    rng = random.Random(seed)
    schema = random_schema(rng)
    route, model = rng.choice(ROUTES), rng.choice(MODELS)
    if route == "tool":
        model = "tooly"
        schema = {"type": "object", "properties": {"argument": schema}, "$defs": schema.get("$defs", {})}
    status, text, ended = answered(
        server, route, model, schema, WILD | {"seed": seed}, think=rng.random() < 0.5
    )
    if status != 200:
        # A tool's schema is also a part of the prompt, which may not fit.
        fair = status == 400 and ("schema" in text or "context" in text)
        return "refused" if fair else f"WRONG {seed} {route} {model}: {status} {text}"
    if ended == "stop" and (why := wrong(schema, text)):
        return f"WRONG {seed} {route} {model}: {why[:200]}\n  {json.dumps(schema)[:2000]}\n  {text[:500]}"
    return f"{ended} {route}"


def answered(
    server: Server, route: str, model: str, schema: Any, options: dict[str, Any], *, think: bool = False
) -> tuple[int, str, str]:
    """Status, text (of an answer or an error) and end, whatever the dialect."""
    messages = [{"role": "user", "content": "Hi"}]
    few = {"max_tokens": options["num_predict"], "temperature": 1, "messages": messages, "model": model}
    thinking = {"think": think} if model == "think" else {}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    forced = {"tools": [tool], "tool_choice": "required"}
    native = {"model": model, "format": schema, "options": options, "stream": False, **thinking}
    form = {"type": "json_schema", "schema": schema}
    path, body = {
        "/api/chat": ("/api/chat", native | {"messages": messages}),
        "/api/generate": ("/api/generate", native | {"prompt": "Hi"}),
        "raw": ("/api/generate", native | {"prompt": "Hi", "raw": True}),
        "/v1/chat/completions": (
            "/v1/chat/completions",
            few
            | {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}},
        ),
        "/v1/responses": (
            "/v1/responses",
            {
                "model": model,
                "input": "Hi",
                "text": {"format": form | {"name": "x"}},
                "max_output_tokens": 300,
            },
        ),
        "/v1/messages": ("/v1/messages", few | {"output_config": {"format": form}}),
        "tool": ("/v1/chat/completions", few | forced),
    }[route]
    answer = server.post(path, body)
    found = answer.json
    if answer.status != 200:
        return answer.status, answer.body.decode(), ""
    match route:
        case "/api/chat":
            return 200, found["message"]["content"], found["done_reason"]
        case "/api/generate" | "raw":
            return 200, found["response"], found["done_reason"]
        case "/v1/responses":
            said = [
                part["text"]
                for item in found["output"]
                if item["type"] == "message"
                for part in item["content"]
            ]
            return 200, "".join(said), "stop" if found["status"] == "completed" else "length"
        case "/v1/messages":
            said = [part["text"] for part in found["content"] if part["type"] == "text"]
            return 200, "".join(said), "stop" if found["stop_reason"] == "end_turn" else "length"
    (choice,) = found["choices"]
    if route == "tool":
        calls = choice["message"].get("tool_calls")
        ended = "stop" if choice["finish_reason"] == "tool_calls" else choice["finish_reason"]
        return 200, calls[0]["function"]["arguments"] if calls else "", ended
    return 200, choice["message"]["content"] or "", choice["finish_reason"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.schema.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="the first of the schemas")
    parser.add_argument("--at-once", type=int, default=2)
    wishes = parser.parse_args()
    ends: Counter[str] = Counter()
    with short_folder() as folder, serving(folder) as server, ThreadPoolExecutor(wishes.at_once) as pool:
        prepare(server, folder)
        until = time.monotonic() + wishes.seconds
        seed = wishes.seed
        while time.monotonic() < until:
            for end in pool.map(lambda one: ask(server, one), range(seed, seed + 50)):
                if end.startswith("WRONG"):
                    print(end)
                ends[end.partition(" ")[0] if end.startswith("WRONG") else end] += 1
            seed += 50
    for end, count in sorted(ends.items()):
        print(f"{count:6} {end}")
    return 1 if ends["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())

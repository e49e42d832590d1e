"""The real engine, loaded with a GGUF file and asked over HTTP on the loopback interface."""

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xllamacpp

from training.tiny.chat import Turn

SLOTS = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine wrote. `margin` is the smallest lead of a chosen token's logit over the next one."""

    text: str
    margin: float
    stopped: bool


class Engine:
    """One engine process image inside ours; it ends with the object."""

    def __init__(self, path: Path, context: int, slots: int = SLOTS) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context * slots
        params.n_parallel = slots
        params.port = 0
        params.cpuparams.n_threads = 2
        params.verbosity = -1
        params.cache_ram_mib = 0
        self._server = xllamacpp.Server(params)
        self.address: str = self._server.listening_address

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request, one JSON reply."""
        request = urllib.request.Request(  # noqa: S310 - the address is the engine's own
            self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as response:  # noqa: S310
            out: dict[str, Any] = json.load(response)
            return out

    def chat(self, turns: tuple[Turn, ...], limit: int = 1000) -> Reply:
        """The greedy answer to a chat."""
        out = self.post(
            "/v1/chat/completions",
            {
                "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
                "temperature": 0,
                "max_tokens": limit,
                "logprobs": True,
                "top_logprobs": 2,
            },
        )
        choice = out["choices"][0]
        pairs = [token["top_logprobs"] for token in choice["logprobs"]["content"]]
        return Reply(
            text=choice["message"]["content"],
            margin=min(best["logprob"] - second["logprob"] for best, second in pairs),
            stopped=choice["finish_reason"] == "stop",
        )

    def complete(self, prompt: str, limit: int = 60) -> str:
        """The greedy continuation of raw text."""
        out: str = self.post("/completion", {"prompt": prompt, "temperature": 0, "n_predict": limit})[
            "content"
        ]
        return out

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text in which special tokens count as such."""
        ids: list[int] = self.post("/tokenize", {"content": text, "parse_special": True})["tokens"]
        return ids

    def render(self, turns: tuple[Turn, ...]) -> str:
        """A chat as the file's own template writes it."""
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        out: str = self.post("/apply-template", {"messages": messages})["prompt"]
        return out

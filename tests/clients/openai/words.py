"""What is asked, and the tools and answers that it takes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from tests.support.bundled import questions

HELLO = questions()[0]
SAMPLE = questions()[:: max(1, len(questions()) // 6)]

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather somewhere",
        "parameters": {
            "type": "object",
            "properties": {"unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
            "required": ["unit"],
            "additionalProperties": False,
        },
    },
}
CLOCK: Any = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"type": "string", "enum": ["utc", "cet"]}},
            "required": ["zone"],
        },
    },
}


class Mood(BaseModel):
    mood: Literal["good", "bad"]
    sure: bool

"""instructor, unmodified. Arguments: the server's URL, a model with tools.

Its usual way is a tool that has to be called, with a schema that refers to its own definitions. Ends with status 0 if
all was as it should be.
"""

from __future__ import annotations

import sys
from typing import Literal

import instructor
import openai
from pydantic import BaseModel

URL, TOOLY = sys.argv[1:]


class Place(BaseModel):
    colour: Literal["red", "blue"]


class Trip(BaseModel):
    start: Place
    end: Place


client = openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
asked = [{"role": "user", "content": "Where to?"}]
for mode, model in ((instructor.Mode.TOOLS, TOOLY), (instructor.Mode.JSON_SCHEMA, "tiny")):
    patched = instructor.from_openai(client, mode=mode)
    trip = patched.chat.completions.create(model=model, response_model=Trip, messages=asked, max_retries=0)
    assert isinstance(trip, Trip), (mode, trip)

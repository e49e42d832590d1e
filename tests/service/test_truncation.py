"""History that does not fit: what is dropped, and that every answer says so. On the real engine."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.service.talking import CALL, GREEDY, TOOL, Said, chat, generate, rendered, user
from tests.support.places import short_folder
from tests.support.scripted import scripted
from tests.support.server import Server

GO = (
    "{{ range .Messages }}{{ .Content }}{{ if .ToolCalls }}{{ range .ToolCalls }}<call>{{ .Function.Name }}"
    "{{ end }}{{ end }};{{ end }}{{ if .Tools }}{{ end }}<go>"
)
JINJA = (
    "{% for m in messages %}{{ m.content }}{% for tool_call in m.tool_calls or [] %}<call>"
    "{{ tool_call.function.name }}{% endfor %};{% endfor %}{% if tools %}{{ tools }}{% endif %}<go>"
)
SMALL = {"num_ctx": 64}
"""In a runner with more room: it is we who hold the request to it."""
WHOLE = {"num_ctx": 256}
"""A runner's own whole context: the engine refuses."""
NUMBERS = re.compile(
    r"the prompt is (\d+) tokens long and exceeds the available context size \((\d+) tokens\)"
)


@pytest.fixture(scope="module")
def models(server: Server) -> Server:
    with short_folder() as folder:
        go = scripted(folder / "go.gguf", {"<go>": ["Yes"]})
        server.create("go", go, template=GO)
        server.create("jinja", scripted(folder / "jinja.gguf", {"<go>": ["Yes"]}, template=JINJA))
        # a runner of its own, as small as its requests' context
        for name, template in (("go", GO), ("jinja", None)):
            path = scripted(
                folder / f"{name}-whole.gguf",
                {"<go>": ["Yes"]},
                context=256,
                template=None if template else JINJA,
            )
            server.create(f"{name}-whole", path, **({"template": template} if template else {}))
    return server


MODELS = pytest.mark.parametrize(
    ("model", "context"), [("go", 64), ("jinja", 64), ("go-whole", 256), ("jinja-whole", 256)]
)


def conversation(context: int, *lengths: float) -> list[dict[str, Any]]:
    """Turns of user and assistant, each as long as that part of the context; each has a letter of its own."""
    return [
        {
            "role": "user" if number % 2 == 0 else "assistant",
            "content": chr(65 + number) * int(part * context),
        }
        for number, part in enumerate(lengths)
    ]


def letters(text: str) -> str:
    """Which of the turns are in it."""
    return "".join(sorted(set(re.findall("[A-Z]", text))))


def options(context: int) -> dict[str, Any]:
    return {"num_ctx": context}


@MODELS
def test_what_fits_loses_nothing(models: Server, model: str, context: int) -> None:
    said = chat(models, model, conversation(context, 0.2, 0.2, 0.2), options=options(context))
    assert said.text == "Yes"
    assert "truncated" not in said.end
    assert "Tropa-Truncated" not in said.headers
    assert said.end["prompt_tokens"] == said.end["prompt_eval_count"]


@MODELS
@pytest.mark.parametrize("truncate", [{}, {"truncate": True}], ids=["absent", "true"])
def test_the_oldest_go_first_and_the_answer_says_so(
    models: Server, model: str, context: int, truncate: dict[str, bool]
) -> None:
    messages = conversation(context, 0.5, 0.5, 0.4, 0.1, 0.1)
    said = chat(models, model, messages, options=options(context), **truncate)
    assert said.text == "Yes"
    check_said(said, 2)
    assert letters(rendered(models, model, messages, options=options(context), **truncate)) == "CDE"


def check_said(said: Said, messages: int) -> None:
    """The numbers agree with one another, in the end and in the header."""
    truncated = said.end["truncated"]
    assert truncated["messages"] == messages
    assert truncated["tokens"] > 0
    assert said.end["prompt_tokens"] == said.end["prompt_eval_count"] + truncated["tokens"]
    assert said.headers["Tropa-Truncated"] == f"messages={messages}, tokens={truncated['tokens']}"


@MODELS
def test_system_messages_stay(models: Server, model: str, context: int) -> None:
    system = {"role": "system", "content": "S" * 5}
    messages = [system, *conversation(context, 0.5, 0.4, 0.2)]
    check_said(chat(models, model, messages, options=options(context)), 1)
    assert letters(rendered(models, model, messages, options=options(context))) == "BCS"
    middle = [*conversation(context, 0.8), system, *conversation(context, 0, 0.2, 0.2)[1:]]
    assert letters(rendered(models, model, middle, options=options(context))) == "BCS"


@MODELS
def test_an_answer_of_a_tool_goes_with_its_call(models: Server, model: str, context: int) -> None:
    messages = [
        user("A" * 5),
        {"role": "assistant", "content": "B" * int(0.4 * context), "tool_calls": [{"function": CALL}]},
        {"role": "tool", "content": "C" * int(0.2 * context), "tool_name": "now"},
        {"role": "tool", "content": "D" * int(0.2 * context), "tool_name": "now"},
        user("E" * int(0.5 * context)),
    ]
    assert letters(rendered(models, model, messages, options=options(context))) == "E"
    check_said(chat(models, model, messages, options=options(context)), 4)


@MODELS
def test_a_call_stays_with_the_answer_that_is_the_last_message(
    models: Server, model: str, context: int
) -> None:
    messages = [
        *conversation(context, 0.5, 0.49),
        {"role": "assistant", "content": "X", "tool_calls": [{"function": CALL}]},
        {"role": "tool", "content": "Y" * 5, "tool_name": "now"},
    ]
    assert "XY" in letters(rendered(models, model, messages, options=options(context)))
    check_said(chat(models, model, messages, options=options(context)), 1)


def numbers(error: str) -> tuple[int, int]:
    found = NUMBERS.search(error)
    assert found, error
    return int(found[1]), int(found[2])


@MODELS
@pytest.mark.parametrize("streamed", [True, False])
def test_who_allows_no_cut_is_refused_with_both_numbers(
    models: Server, model: str, context: int, streamed: bool
) -> None:
    messages = conversation(context, 0.5, 0.5, 0.5)
    answer = models.post(
        "/api/chat",
        model=model,
        messages=messages,
        truncate=False,
        stream=streamed,
        options=GREEDY | options(context),
    )
    assert answer.status == 400
    tokens, limit = numbers(answer.error)
    assert limit == context < tokens


@MODELS
def test_a_last_message_that_is_too_long_is_refused_and_not_cut(
    models: Server, model: str, context: int
) -> None:
    alone = models.post(
        "/api/chat", model=model, messages=conversation(context, 2), options=GREEDY | options(context)
    )
    assert alone.status == 400
    assert numbers(alone.error)[1] == context
    messages = conversation(context, 0.5, 0.5, 2)
    answer = models.post("/api/chat", model=model, messages=messages, options=GREEDY | options(context))
    assert answer.status == 400
    assert answer.error.startswith("even without the earlier messages the prompt is ")
    tokens, limit = numbers(answer.error)
    assert (tokens > context, limit) == (True, context)


@pytest.mark.parametrize(
    "fields", [{"raw": True}, {"template": "{{ .Prompt }}"}, {}, {"truncate": False}], ids=str
)
def test_a_prompt_that_is_too_long_is_refused_and_not_cut(models: Server, fields: dict[str, Any]) -> None:
    answer = models.post(
        "/api/generate", {"model": "go", "prompt": "A" * 100, "options": GREEDY | SMALL, **fields}
    )
    assert answer.status == 400
    tokens, limit = numbers(answer.error)
    assert (100 <= tokens < 130, limit) == (True, 64)


def test_the_messages_a_model_comes_with_can_go_too(models: Server) -> None:
    with short_folder() as folder:
        path = scripted(folder / "seeded.gguf", {"<go>": ["Yes"]})
        models.create("seeded", path, template=GO, messages=conversation(64, 0.5, 0.6), system="Z")
    said = generate(models, "seeded", "C" * 30, options=SMALL)
    assert said.text == "Yes"
    check_said(said, 2)
    assert numbers(
        models.post("/api/generate", model="seeded", prompt="C" * 30, truncate=False, options=SMALL).error
    )


def test_tools_are_part_of_what_has_to_fit(models: Server) -> None:
    long = {"type": "function", "function": {"name": "now", "description": "T" * 200, "parameters": {}}}
    with short_folder() as folder:
        models.create(
            "tools", scripted(folder / "tools.gguf", {"<go>": ["Yes"]}), template="{{ json .Tools }}" + GO
        )
    answer = models.post("/api/chat", model="tools", messages=[user("A")], tools=[long], options=SMALL)
    assert answer.status == 400
    assert numbers(answer.error)[1] == 64
    assert chat(models, "tools", "A", tools=[TOOL], options={"num_ctx": 512}).text == "Yes"


@pytest.mark.parametrize("shift", [True, False])
def test_a_full_context_ends_the_answer(models: Server, shift: bool) -> None:
    """`shift` is taken, and nothing is ever shifted out of a prompt behind its author's back."""
    with short_folder() as folder:
        pieces = [f"{word}{end} " for word in ("on", "and") for end in "abcdefgh"]
        models.create("talks", scripted(folder / "talks.gguf", {"<go>": [*pieces, pieces[0]]}), template=GO)
    said = chat(models, "talks", "A" * 30, shift=shift, options={"num_ctx": 64, "num_keep": 4})
    assert said.end["done_reason"] == "length"
    assert said.end["prompt_eval_count"] + said.end["eval_count"] == 64

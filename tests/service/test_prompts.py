"""Which template makes the prompt, and what the engine is given."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service.talking import TOOL, chat, generate, prompted, rendered, user
from tests.support.places import short_folder
from tests.support.processes import patience
from tests.support.scripted import scripted
from tests.support.server import Server, serving

JINJA = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}>"
MESSAGES = "<s>{{ range .Messages }}({{ .Role }}){{ .Content }}{{ end }}<go>"
TURNS = (
    "{{ if .System }}S:{{ .System }} {{ end }}{{ if .Prompt }}U:{{ .Prompt }} {{ end }}A:{{ .Response }}\n"
)
FILL = "{{ if .Suffix }}<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<go>{{ else }}{{ .Prompt }}{{ end }}"
TOOLS = "{% if tools %}{% for tool_call in tools %}{{ tool_call }}{% endfor %}{% endif %}" + JINJA
IDS = (
    "{% macro nine(id) %}{% if id is not defined or id | length != 9 %}{{ raise_exception('nine') }}{% endif %}"
    "{{ id }}{% endmacro %}{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}"
    "{% if m.tool_calls %}{% for c in m.tool_calls %}[{{ nine(c.id) }} calls {{ c.function.name }}]{% endfor %}"
    "{% elif m.role == 'tool' %}[{{ nine(m.tool_call_id) }} gave {{ m.content }}]"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}>"
)
"""As Mistral's templates have it."""


@pytest.fixture(scope="module")
def models(server: Server) -> Server:
    with short_folder() as folder:
        both = scripted(folder / "both.gguf", {"<go>": ["Yes"]}, template=JINJA)
        bare = scripted(folder / "bare.gguf", {"<go>": ["Yes"]})
        without = scripted(folder / "without.gguf", {"<go>": ["Yes"]}, add_bos=False)
        tools = scripted(folder / "tools.gguf", {"<go>": ["Yes"]}, template=TOOLS)
        ids = scripted(folder / "ids.gguf", {">": ["Yes"]}, template=IDS)
        server.create("ids", ids)
        server.create("go", both, template=MESSAGES)
        server.create("jinja", both)
        server.create("turns", both, template=TURNS, system="Be kind.")
        server.create("fill", both, template=FILL)
        server.create("bare", bare)
        server.create("without", without, template=MESSAGES)
        server.create("better", tools, template=MESSAGES)
        server.create("renderer", both, template=MESSAGES, renderer="nobody-knows-it")
        server.create(
            "said", both, template=TURNS, messages=[user("one"), {"role": "assistant", "content": "two"}]
        )
    return server


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("go", "<s>(user)Hi<go>"),
        ("jinja", "[user]Hi>"),
        ("turns", "S:Be kind. U:Hi A:"),
        ("said", "U:one A:two\nU:Hi A:"),
        ("fill", "Hi"),
        ("better", "[user]Hi>"),  # its own Jinja can do more: tools
        ("renderer", "[user]Hi>"),  # a renderer that is not known: the GGUF's own
    ],
)
def test_the_template_that_is_used(models: Server, model: str, text: str) -> None:
    assert rendered(models, model, "Hi") == text
    assert prompted(models, model, "Hi") == text


def test_without_any_template(models: Server) -> None:
    """A prompt is taken as it is; a chat gets the engine's usual form."""
    assert prompted(models, "bare", "Hi") == "Hi"
    assert "<|im_start|>user\nHi" in rendered(models, "bare", "Hi")
    assert generate(models, "bare", "Hi<go>").text == "Yes"


def test_an_unknown_renderer_is_told_in_the_log(models: Server) -> None:
    rendered(models, "renderer", "Hi")
    assert "nobody-knows-it" in models.log.read_text()


def test_rendering_needs_no_engine() -> None:
    with short_folder() as folder, serving(folder) as server:
        server.create("go", scripted(folder / "go.gguf", {"<go>": ["Yes"]}), template=MESSAGES)
        assert rendered(server, "go", "Hi") == "<s>(user)Hi<go>"
        assert prompted(server, "go", "Hi", raw=True) == "Hi"
        assert server.ps() == {}
        assert rendered(server, "go", "word " * 2000).count("word") == 2000, "too long: shown all the same"


@pytest.fixture(scope="module", params=["1", "0"])
def forced(request: pytest.FixtureRequest) -> Iterator[tuple[bool, Server]]:
    with short_folder() as folder, serving(folder, OLLAMA_GO_TEMPLATE=request.param) as server:
        server.create(
            "both", scripted(folder / "m.gguf", {"<go>": ["Yes"]}, template=TOOLS), template=MESSAGES
        )
        server.create("only", scripted(folder / "o.gguf", {"<go>": ["Yes"]}), template=MESSAGES)
        yield request.param == "1", server


def test_the_user_can_choose_the_kind_of_template(forced: tuple[bool, Server]) -> None:
    go, server = forced
    assert rendered(server, "both", "Hi") == ("<s>(user)Hi<go>" if go else "[user]Hi>")
    assert ("<s>(user)Hi<go>" in rendered(server, "only", "Hi")) is go
    assert prompted(server, "only", "Hi") == "<s>(user)Hi<go>", "a prompt has nothing else to be rendered by"


def test_the_template_that_was_chosen_decides_what_the_model_can_do(forced: tuple[bool, Server]) -> None:
    go, server = forced
    answer = server.post("/api/chat", model="both", messages=[user("Hi")], tools=[TOOL], stream=False)
    assert answer.status == (400 if go else 200)
    assert ("does not support tools" in answer.body.decode()) is go


def test_the_beginning_is_not_doubled(models: Server) -> None:
    """`<s>` in the template, and the engine adds one of its own: one is enough. The debug view shows the template's."""
    assert chat(models, "go", "Hi").end["prompt_eval_count"] == 10, "<s> ( u s e r ) H i <go>, not 11"
    assert chat(models, "go", "Hi").text == "Yes"
    once = generate(models, "go", "<s>Hi<go>", raw=True).end["prompt_eval_count"]
    assert generate(models, "go", "Hi<go>", raw=True).end["prompt_eval_count"] == once
    assert generate(models, "go", "<s><s>Hi<go>", raw=True).end["prompt_eval_count"] == once + 1, "one only"


def test_a_beginning_that_no_engine_adds_stays(models: Server) -> None:
    assert (
        chat(models, "without", "Hi").end["prompt_eval_count"]
        == chat(models, "go", "Hi").end["prompt_eval_count"]
    )


def test_filling_in_the_middle(models: Server) -> None:
    assert prompted(models, "fill", "a(", suffix="return") == "<PRE>a(<SUF>return<go>"
    assert generate(models, "fill", "a(", suffix="return").text == "Yes"


def test_a_template_with_the_request(models: Server) -> None:
    template = "{{ .System }}|{{ .Prompt }}<go>"
    assert prompted(models, "turns", "Hi", template=template) == "Be kind.|Hi<go>"
    assert generate(models, "jinja", "Hi", template=template).text == "Yes"


@pytest.mark.parametrize(("template", "status"), [("{{ .Prompt", 400), ("{{ index .Prompt 9 }}", 500)])
def test_a_template_that_does_not_work(models: Server, template: str, status: int) -> None:
    answer = models.post("/api/generate", model="go", prompt="Hi", template=template)
    assert (answer.status, answer.error.startswith("template: :1:")) == (status, True)


@pytest.mark.parametrize(
    "template",
    [
        "{{ range 1000000000 }}x{{ end }}",
        '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}',
        "{{ .A }}" * 30_000,
    ],
    ids=["endless", "itself", "long"],
)
def test_a_template_without_end_costs_nobody_else_anything(models: Server, template: str) -> None:
    waits = []
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(models.post, "/api/generate", model="go", prompt="Hi", template=template)
        while not asked.done():
            started = time.monotonic()
            models.get("/api/version")
            waits.append(time.monotonic() - started)
        answer = asked.result()
    assert answer.status in (400, 500), answer.body
    assert max(waits, default=0.0) < patience(1.0)


@pytest.mark.parametrize("model", ["go", "jinja"])
def test_a_context_goes_on_as_text(models: Server, model: str) -> None:
    first = generate(models, model, "Hi<go>", system="Be kind.")
    again = prompted(models, model, "More", context=first.end["context"])
    assert "Be kind." in again
    assert again.index("Hi<go>") < again.index("More")
    second = generate(models, model, "More<go>", context=first.end["context"])
    assert second.end["context"][: len(first.end["context"])] == first.end["context"]


def test_even_an_empty_context_leaves_the_models_messages_out(models: Server) -> None:
    assert prompted(models, "said", "Hi", context=[]) == "U:Hi A:"


def test_a_system_prompt_of_the_request(models: Server) -> None:
    assert prompted(models, "turns", "Hi", system="Be brief.") == "S:Be brief. U:Hi A:"
    assert rendered(models, "turns", [{"role": "SYSTEM", "content": "x"}, user("Hi")]) == "S:x U:Hi A:"


def test_a_template_that_wants_ids_of_calls_gets_them(models: Server) -> None:
    """Native clients send none, and the template would refuse the whole conversation."""
    messages = [
        user("Hi"),
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        {"role": "tool", "tool_name": "f", "content": "4"},
    ]
    assert rendered(models, "ids", messages) == "Hi[call00001 calls f][call00001 gave 4]>"
    assert chat(models, "ids", messages).text == "Yes"

"""Images in a prompt: where they stand, and that they reach the engine, by either kind of template."""

from __future__ import annotations

import pytest

from tests.service.talking import GREEDY, chat, generate, prompted, rendered, user
from tests.support.places import short_folder
from tests.support.projector import picture, projector
from tests.support.scripted import scripted
from tests.support.server import Server

RED, BLUE = picture(), picture(0, 0, 200)


@pytest.fixture(scope="module")
def models(server: Server) -> Server:
    with short_folder() as folder:
        jinja = "{% for m in messages %}{{ m.content }}{% endfor %}<go>"
        path = scripted(folder / "m.gguf", {"<go>": ["Yes"]}, template=jinja)
        eye = projector(folder / "mmproj.gguf")
        files = {each.name: server.upload(each) for each in (path, eye)}
        go = "{{ range .Messages }}{{ .Content }}{{ end }}<go>"
        for name, fields in (("go", {"template": go}), ("jinja", {})):
            answer = server.post("/api/create", model=name, files=files, **fields)
            assert answer.lines[-1] == {"status": "success"}, answer.lines
    return server


BOTH = pytest.mark.parametrize("model", ["go", "jinja"])


@BOTH
def test_an_image_takes_its_place_in_the_prompt(models: Server, model: str) -> None:
    assert rendered(models, model, [user("What is it?", images=[RED])]) == "[img-0]What is it?<go>"
    without = chat(models, model, "What is it?").end["prompt_eval_count"]
    one = chat(models, model, [user("What is it?", images=[RED])])
    two = chat(models, model, [user("What is it?", images=[RED, BLUE])])
    assert one.text == two.text == "Yes"
    taken = one.end["prompt_eval_count"] - without
    assert taken > 0
    assert two.end["prompt_eval_count"] == without + 2 * taken


@BOTH
def test_the_author_says_where_images_stand(models: Server, model: str) -> None:
    shown = prompted(models, model, "A [img] and [img]?", images=[RED, BLUE])
    assert shown == "A [img-0] and [img-1]?<go>"
    assert generate(models, model, "A [img] and [img]?", images=[RED, BLUE]).text == "Yes"
    assert prompted(models, model, "[img-1] or [img-0]?", images=[RED, BLUE]) == (
        "[img-1] or [img-0]?<go>" if model == "go" else "[img-0] or [img-1]?<go>"
    )


@BOTH
def test_images_are_numbered_over_all_messages(models: Server, model: str) -> None:
    messages = [user("one", images=[RED]), {"role": "assistant", "content": "!"}, user("two", images=[BLUE])]
    assert rendered(models, model, messages) == "[img-0]one![img-1]two<go>"


def test_a_raw_prompt_has_its_own_marks(models: Server) -> None:
    seen = generate(models, "go", "[img-0]<go>", raw=True, images=[RED]).end["prompt_eval_count"]
    unseen = generate(models, "go", "<go>", raw=True, images=[RED]).end["prompt_eval_count"]
    assert seen > unseen


@BOTH
def test_images_of_dropped_messages_go_too(models: Server, model: str) -> None:
    """Each counts for 768 tokens when it is decided what fits."""
    turns = [user("A" * 900, images=[RED]), user("B" * 900, images=[BLUE]), user("C" * 100, images=[RED])]
    messages = [each for turn in turns for each in (turn, {"role": "assistant", "content": "x"})][:-1]
    options = {"num_ctx": 2048}
    shown = rendered(models, model, messages, options=options)
    assert ("A" in shown, "B" in shown, "C" in shown) == (False, False, True)
    assert shown.startswith("x[img-0]C" if "x" in shown else "[img-0]C")


@BOTH
def test_what_is_no_image_is_refused(models: Server, model: str) -> None:
    messages = [user("What is it?", images=["QUJD"])]
    answer = models.post("/api/chat", model=model, messages=messages, options=GREEDY)
    assert answer.status == 400
    assert "image" in answer.error


@BOTH
def test_a_context_keeps_the_text_of_a_prompt_with_images(models: Server, model: str) -> None:
    first = generate(models, model, "What is it?", images=[RED])
    assert "What is it?<go>Yes" in prompted(models, model, "And?", context=first.end["context"])

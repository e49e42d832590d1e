"""What a model is told that shall write down a recording."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tropa.library.bundled import packaged
from tropa.library.library import Library
from tropa.library.model import Model
from tropa.service.transcribe import TranscribeAsk, conversation

ASK = TranscribeAsk("tiny", "me", "UklGRg==")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Library(tmp_path_factory.mktemp("models"), packaged()).find("tiny")


def test_the_task_and_the_sound(tiny: Model) -> None:
    chat = conversation(ASK, tiny)
    (message,) = chat.messages
    assert message["images"] == ["UklGRg=="]
    assert "word for word" in message["content"]
    assert (chat.options, chat.think, chat.truncate) == ({"temperature": 0.0}, False, False)


def test_hints_are_put_into_words(tiny: Model) -> None:
    ask = replace(ASK, languages=["de", "fr"], keywords=["Tropa"], prompt="Dear llamas,")
    task, *hints = conversation(ask, tiny).messages[0]["content"].split("\n")
    assert "word for word" in task
    assert [hint.rpartition(": ")[2] for hint in hints] == ["de or fr.", "Tropa.", "Dear llamas,"]


def test_options_stand_over_our_own(tiny: Model) -> None:
    ask = replace(ASK, options={"temperature": 0.4, "num_ctx": 9000})
    assert conversation(ask, tiny).options == {"temperature": 0.4, "num_ctx": 9000}


def test_a_family_that_was_trained_for_it_is_told_in_its_own_words(tiny: Model) -> None:
    model = replace(tiny, details=replace(tiny.details, family="lfm2"))
    system, user = conversation(replace(ASK, languages=["en"]), model).messages
    assert system == {"role": "system", "content": "Perform ASR."}
    assert user["content"] == "Language: en."

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.scheduler.demand import Want
from tropa.service.errors import BadOption, InvalidRequest
from tropa.service.options import MOST_TOKENS, parse


def sampling(context: int = 4096, **options: Any) -> dict[str, Any]:
    return parse({}, options).sampling(context)


def test_every_default_is_said() -> None:
    """The engine has other ones of its own."""
    assert sampling() == {
        "temperature": 0.8,
        "top_k": 40,
        "top_p": 0.9,
        "min_p": 0.0,
        "typical_p": 1.0,
        "repeat_last_n": 64,
        "repeat_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": -1,
        "n_keep": 4,
    }


def test_the_request_wins_over_the_model_and_the_model_over_the_default() -> None:
    found = parse({"temperature": 0.1, "top_k": 5}, {"top_k": 7}).sampling()
    assert (found["temperature"], found["top_k"], found["top_p"]) == (0.1, 7, 0.9)


def test_null_is_the_same_as_nothing() -> None:
    found = parse({"temperature": 0.1}, {"temperature": None, "stop": None})
    assert found.sampling()["temperature"] == 0.1


@pytest.mark.parametrize("name", ["mirostat", "tfs_z", "numa", "low_vram", "Temperature", ""])
def test_unknown_keys_are_passed_over(name: str) -> None:
    assert parse({}, {name: object()}).values == {}


@pytest.mark.parametrize(("given", "taken"), [(5, 5), (5.9, 5), (-5.9, -5), (1e3, 1000)])
def test_fractions_of_whole_numbers_go_towards_zero(given: float, taken: int) -> None:
    assert parse({}, {"top_k": given}).values == {"top_k": taken}


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("top_k", "5", "integer"),
        ("top_k", True, "integer"),
        ("num_ctx", [1], "integer"),
        ("seed", {}, "integer"),
        ("draft_num_predict", "4", "integer"),
        ("temperature", "hot", "float32"),
        ("temperature", False, "float32"),
        ("use_mmap", 1, "boolean"),
        ("stop", "one text", "array"),
    ],
)
def test_a_value_of_another_type_is_named(name: str, value: Any, kind: str) -> None:
    with pytest.raises(BadOption) as caught:
        parse({}, {name: value})
    assert str(caught.value) == f'option "{name}" must be of type {kind}'


def test_stop_texts_are_texts() -> None:
    with pytest.raises(BadOption, match='option "stop" must be of an array of strings'):
        parse({}, {"stop": ["a", 5]})
    assert "stop" not in sampling(stop=["", ""])
    assert sampling(stop=["a", "", "b"])["stop"] == ["a", "b"]


def test_one_stop_text_of_a_model_is_a_list_of_one() -> None:
    """It can be created so, and would then fail at every request."""
    assert parse({"stop": "a"}, {}).values["stop"] == ["a"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_ctx", 0),
        ("num_ctx", 1 << 40),
        ("num_batch", 0),
        ("num_batch", 1 << 20),
        ("num_thread", -1),
        ("num_thread", 5000),
        ("main_gpu", -1),
        ("seed", 1 << 70),
        ("top_k", 1e300),
        ("temperature", float("inf")),
        ("temperature", float("nan")),
    ],
)
def test_what_no_engine_could_use_is_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidRequest, match=f'option "{name}"'):
        parse({}, {name: value})


@pytest.mark.parametrize(
    ("asked", "told"), [(-1, 512), (-7, 512), (2_000_000_000, 512), (512, 512), (0, 0), (9, 9)]
)
def test_the_penalties_look_back_no_further_than_the_context(asked: int, told: int) -> None:
    """The engine makes room for as many tokens as it is told: two thousand millions were 8 GB, from one request."""
    assert sampling(512, repeat_last_n=asked)["repeat_last_n"] == told


@pytest.mark.parametrize(("asked", "told"), [(-1, -1), (-2, -1), (0, 0), (5, 5), (1 << 40, MOST_TOKENS)])
def test_num_predict_is_a_number_that_the_engine_can_hold(asked: int, told: int) -> None:
    """It would take the lower half of a larger one: of 2 to the 40th nothing is left."""
    assert parse({}, {"num_predict": asked}).num_predict == told


WHOLE = st.sampled_from(["top_k", "num_keep", "repeat_last_n", "seed"])


@given(st.dictionaries(WHOLE, st.integers(-(1 << 61), 1 << 61)))
def test_no_number_overflows_the_engines_own(options: dict[str, int]) -> None:
    told = sampling(4096, **options)
    assert all(-(1 << 31) <= told[name] < 1 << 31 for name in ("top_k", "n_keep", "repeat_last_n"))


def test_what_matters_at_load_goes_to_the_scheduler() -> None:
    options = parse(
        {"num_ctx": 2048},
        {"num_gpu": -1, "num_batch": 64, "num_thread": 0, "use_mmap": False, "main_gpu": 1, "temperature": 0},
    )
    want = Want(context=2048, num_gpu=-1, num_batch=64, use_mmap=False, main_gpu=1, keep_alive=5.0)
    assert options.want(5.0) == want
    assert parse({}, {}).want(None) == Want()


@pytest.mark.parametrize(("asked", "taken"), [(1, 4), (3.9, 4), (4, 4), (100, 100)])
def test_the_least_context(asked: float, taken: int) -> None:
    assert parse({}, {"num_ctx": asked}).want(None).context == taken

"""Stop sequences in text that comes in pieces cut anywhere."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tropa.service.stopping import Stopper

TEXTS = st.text("ab<>", max_size=30)


def split(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@given(
    TEXTS,
    st.lists(st.text("ab<>", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 99), max_size=5),
)
def test_the_cuts_between_pieces_do_not_matter(text: str, stops: list[str], cuts: list[int]) -> None:
    stopper = Stopper(stops)
    said = ""
    for piece in split(text, cuts):
        said += stopper.feed(piece)
        if stopper.found:
            break
    else:
        said += stopper.finish()
    places = [text.find(stop) for stop in stops if stop in text]
    if stopper.found:
        assert stopper.found in stops
        assert text.startswith(said + stopper.found)
        assert not any(stop in said for stop in stops)
    else:
        assert not places
        assert said == text


def test_nothing_is_held_that_can_be_no_stop() -> None:
    stopper = Stopper(["<end>", ""])
    assert [stopper.feed(piece) for piece in ("one", " <", "two <en", "d")] == ["one", " ", "<two ", ""]
    assert stopper.feed("> three") == ""
    assert stopper.found == "<end>"


def test_what_was_held_is_said_at_the_end() -> None:
    stopper = Stopper(["<end>"])
    assert (stopper.feed("so <e"), stopper.finish(), stopper.found) == ("so ", "<e", "")


def test_of_several_the_first_counts_and_then_the_longest() -> None:
    stopper = Stopper(["b", "bc", "d"])
    assert (stopper.feed("abcd"), stopper.found) == ("a", "bc")

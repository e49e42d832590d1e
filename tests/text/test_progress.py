"""Spinners, bars and wrapping, without a terminal and without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.text.progress import Bar, Spinner, format_time_left
from tropa.text.table import cells_wide
from tropa.text.wrap import Wrapper, printable


def test_a_spinner_turns_and_stops() -> None:
    spinner = Spinner("loading", started=10.0)
    assert spinner.render(10.0, 40) == "loading ⠋ "
    assert spinner.render(10.15, 40) == "loading ⠙ "
    assert spinner.render(11.05, 40) == "loading ⠋ "
    spinner.ended = True
    assert spinner.render(12.0, 40) == "loading "
    assert Spinner("", 0.0).render(0.0, 40) == "⠋ "


def test_a_running_bar() -> None:
    bar = Bar("pulling", total=4_700_000_000, started=0.0)
    assert bar.render(0.0, 70) == "pulling   0% ▕" + " " * 22 + "▏    0 B/4.7 GB" + " " * 18
    bar.move(1_000_000_000, now=2.0)
    bar.move(2_350_000_000, now=4.0)
    line = bar.render(4.0, 70)
    assert line == "pulling  50% ▕" + "█" * 11 + " " * 11 + "▏ 2.4 GB/4.7 GB  587 MB/s      4s"
    assert cells_wide(line) == 69  # the last column stays free


def test_a_finished_bar_shows_its_total() -> None:
    bar = Bar("pulling", total=12_000, started=0.0)
    bar.move(13_000, now=1.0)
    assert bar.ended
    assert bar.render(1.0, 60) == "pulling 100% ▕" + "█" * 12 + "▏  12 KB" + " " * 25


def test_an_empty_file_is_done_at_once() -> None:
    assert "100%" in Bar("x", total=0, started=0.0).render(0.0, 80)


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    bar = Bar("x", total=1_000_000, started=0.0)
    for second in range(1, 31):
        bar.move(second * (10 if second <= 20 else 100), now=float(second))
    assert 100 <= bar.rate(30.0) <= 300
    assert bar.rate(30.0) > 30 * 100 / 30


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (41.6, "42s"), (185, "3m5s"), (3900, "1h5m"), (359_999, "99h59m"), (360_000, "99h+")],
)
def test_time_left(seconds: float, text: str) -> None:
    assert format_time_left(seconds) == text


@given(st.integers(1, 200), st.integers(0, 10**13), st.floats(0, 1), st.text(max_size=60))
def test_no_line_is_wider_than_the_terminal(width: int, total: int, share: float, message: str) -> None:
    message = printable(message).replace("\n", " ").replace("\t", " ")
    bar = Bar(message, total=total, started=0.0)
    bar.move(int(total * share), now=3.0)
    assert cells_wide(bar.render(3.0, width)) <= width
    assert cells_wide(Spinner(message, 0.0).render(0.0, width)) <= width


def screen(output: str) -> list[str]:
    """What a terminal shows of `output`: only moving left, clearing to the end, and line ends are known."""
    lines, column, rest = [""], 0, output
    while rest:
        if rest.startswith("\x1b["):
            end = next(i for i, char in enumerate(rest[2:], 2) if char.isalpha())
            if rest[end] == "D":
                column -= int(rest[2:end])
            elif rest[end] == "K":
                lines[-1] = lines[-1][:column]
            rest = rest[end + 1 :]
            continue
        if rest[0] == "\n":
            lines.append("")
            column = 0
        else:
            lines[-1] = lines[-1][:column] + rest[0] + lines[-1][column + 1 :]
            column += 1
        rest = rest[1:]
    return lines


def test_words_move_to_the_next_line() -> None:
    wrapper = Wrapper(columns=20)
    out = wrapper.feed("The quick brown fox jumps over")
    assert screen(out) == ["The quick brown", "fox jumps over"]
    assert wrapper.feed(" it\nand on") == " \nit\nand on"


def test_a_word_that_arrives_in_pieces_is_taken_back() -> None:
    wrapper = Wrapper(columns=20)
    out = "".join(wrapper.feed(char) for char in "aaaa bbbb cccc dddd")
    assert out == "aaaa bbbb cccc \ndddd"
    wrapper = Wrapper(columns=20)
    out = "".join(wrapper.feed(char) for char in "aaaa bbbb ccccc dddd")
    assert screen(out) == ["aaaa bbbb ccccc", "dddd"]
    wrapper = Wrapper(columns=20)
    assert wrapper.feed("aaaa bbbb ccc ddd") == "aaaa bbbb ccc d\x1b[1D\x1b[K\ndd" + "d"


def test_a_word_longer_than_a_line_is_broken() -> None:
    assert screen(Wrapper(columns=20).feed("x" * 40)) == ["x" * 15, "x" * 15, "x" * 10]


def test_wide_characters_break_anywhere() -> None:
    assert Wrapper(columns=20).feed("あ" * 10) == "あ" * 7 + "\n" + "あ" * 3


def test_a_tab_takes_the_columns_up_to_the_next_stop() -> None:
    assert Wrapper(columns=25).feed("a\tb\tlonger") == "a\tb\tlong\x1b[4D\x1b[K\nlonger"
    assert Wrapper(columns=25).feed("a\tb\tc\td") == "a\tb\tc\nd"


def test_symbols_are_never_taken_back() -> None:
    """How many columns flags and hearts take is for each terminal to say."""
    for symbols in ("🇩🇪🇫🇷", "❤️❤️❤️", "👨‍👩‍👧"):
        assert "\x1b" not in Wrapper(columns=20).feed(f"aaaa bbbb {symbols * 3}")


def test_a_terminal_may_change_its_width_in_between() -> None:
    wrapper = Wrapper(columns=40)
    assert wrapper.feed("aaaa bbbb cccc dddd ") == "aaaa bbbb cccc dddd "
    wrapper.resize(20)
    assert screen(wrapper.feed("eeee\nffff gggg hhhh iiii")) == ["eeee", "ffff gggg hhhh ", "iiii"]
    wrapper.resize(40)
    assert wrapper.feed(" jjjj kkkk") == " jjjj kkkk"


def test_a_tiny_terminal_is_left_alone() -> None:
    text = "some longer text than that"
    assert Wrapper(columns=9).feed(text) == text


@given(st.text(alphabet="ab \n", max_size=200), st.integers(10, 30))
def test_wrapping_changes_only_blanks(text: str, columns: int) -> None:
    shown = screen(Wrapper(columns).feed(text))
    assert "".join(shown).replace(" ", "") == text.replace(" ", "").replace("\n", "")
    assert all(len(line) <= columns - 5 for line in shown)


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\x07\n\tc\x9b1mé\u2028") == "a[31mb\n\tc1mé\u2028"

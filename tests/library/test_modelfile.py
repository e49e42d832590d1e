from __future__ import annotations

import codecs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tropa.library.modelfile.syntax import (
    COMMANDS,
    Command,
    InvalidModelfile,
    Modelfile,
    parse,
    parse_bytes,
    quoted,
)

ALL = (
    '"from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message", or '
    '"requires"'
)


def value(text: str) -> str:
    """What a SYSTEM line says, in a Modelfile that ends with it."""
    return parse(f"FROM x\nSYSTEM {text}").commands[1].value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("plain", "plain"),
        ("  spaces around\t ", "spaces around"),
        ('"quoted"', "quoted"),
        ('" spaces kept "', " spaces kept "),
        ('"""triple"""', "triple"),
        ('"""\nhi\n"""', "\nhi\n"),
        ('"""a\nb"""', "a\nb"),
        ('"multi\nline"', "multi\nline"),
        ('""""quoted""""', '"quoted"'),
        ('"""a\n"""b"""', 'a\n"""b'),
        ('""', ""),
        ('""""""', ""),
        ('He said "hi"', 'He said "hi"'),
        ('"closed at a line end"  \t', "closed at a line end"),
        ("### User: ", "### User:"),
        ('"### User: "', "### User: "),
        ("x # no comment", "x # no comment"),
        ("'single'", "'single'"),
        ("trailing \\", "trailing \\"),
        ("a\\n\\\"b", "a\\n\\\"b"),
        ('"""C:\r\nD"""', "C:\r\nD"),
        ("tab\tinside", "tab\tinside"),
        ('"a" b"', 'a" b'),
        ("nul\0and\x07bell", "nulandbell"),
        ("👨\u200d👩\u200d👧 بی\u200cچین a\u00a0b", "👨\u200d👩\u200d👧 بی\u200cچین a\u00a0b"),
    ],
)  # fmt: skip
def test_values_are_read_as_the_grammar_says(text: str, says: str) -> None:
    assert value(text) == says


@pytest.mark.parametrize("text", ['"a" b', '"""a""" tail', '"', '"""', '"""a""', '"a\nb'])
def test_a_quote_that_is_never_closed_is_named_with_its_line(text: str) -> None:
    with pytest.raises(
        InvalidModelfile, match=r"^\(line 2\): unexpected EOF: the \"+ opened here is never closed"
    ):
        parse(f"FROM x\nSYSTEM {text}")


def test_a_whole_modelfile() -> None:
    text = """# a comment
from ./model.gguf   # no comment here

  PARAMETER temperature 0.7
parameter stop "### User: "
Message user Hi there
MESSAGE assistant \"\"\"Hello
you\"\"\"
   # another comment
LICENSE
"""
    with pytest.raises(InvalidModelfile, match=r"\(line 10\): command must be one of"):
        parse(text)
    assert parse(text.replace("LICENSE\n", "LICENSE MIT")).commands == (
        Command("from", "./model.gguf   # no comment here"),
        Command("parameter", "0.7", "temperature"),
        Command("parameter", "### User: ", "stop"),
        Command("message", "Hi there", "user"),
        Command("message", "Hello\nyou", "assistant"),
        Command("license", "MIT"),
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_honoured(encoding: str) -> None:
    assert parse_bytes("FROM x\nSYSTEM größe".encode(encoding)).commands[1].value == "größe"


def test_utf16_of_either_byte_order_is_read() -> None:
    assert parse_bytes(codecs.BOM_UTF16_BE + "FROM x".encode("utf-16-be")).commands == (Command("from", "x"),)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_every_line_end_counts_as_one_line(end: str) -> None:
    with pytest.raises(InvalidModelfile) as caught:
        parse(end.join(["FROM x", "", '"""', "SYSTEM y", "NOPE z"]).replace('"""', "# c"))
    assert caught.value.line == 5


def test_lines_inside_quotes_are_counted() -> None:
    commands = parse('FROM x\nSYSTEM """\n\n\n"""\nLICENSE y').commands
    assert [command.line for command in commands] == [1, 2, 6]


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("FROM x\nSYSTM y", f"(line 2): command must be one of {ALL}", 'did you mean "system"?'),
        ("FROM x\nSYSTEM\n", "(line 2): command must be one of", "SYSTEM needs a value"),
        ("FROM", "(line 1): command must be one of", "FROM needs a value"),
        ("FROM x\n123 y", "(line 2): command must be one of", None),
        ("FROM x\nEMBED y", "(line 2): command must be one of", None),
        ("FROM x\nMESSAGE tool hi", '(line 2): message role must be one of "system", "user", or "assistant"', None),
        ("FROM x\nMESSAGE usr hi", "(line 2): message role", 'did you mean "user"?'),
        ("FROM x\nMESSAGE User hi", "(line 2): message role", 'did you mean "user"?'),
        ("FROM x\nMESSAGE user", "(line 2): unexpected EOF: message user has no value", None),
        ("FROM x\nPARAMETER temperature\n", "(line 2): unexpected EOF: parameter temperature has no value", None),
        ("FROM x\nPARAMETER top-k 1", "(line 2): a parameter has a name of letters, digits and _, not 'top-k'", None),
        ("FROM x\nPARAMETER \n", "(line 2): a parameter has a name", None),
        ("SYSTEM x", "no FROM line", None),
        ("", "no FROM line", None),
        ("# only a comment", "no FROM line", None),
    ],
)  # fmt: skip
def test_errors_name_the_line_and_what_was_meant(text: str, says: str, hint: str | None) -> None:
    with pytest.raises(InvalidModelfile) as caught:
        parse(text)
    assert str(caught.value).startswith(says)
    if hint is not None:
        assert caught.value.hint == hint


def test_a_huge_open_quote_is_refused_in_a_moment() -> None:
    with pytest.raises(InvalidModelfile):
        parse('FROM x\nSYSTEM """' + "line of text\n" * 200_000)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(' \t\n\r"#\\'), max_size=60)
NAMES = st.text("abz09_", min_size=1, max_size=12)
KINDS = [kind for kind in COMMANDS if kind not in ("parameter", "message")]
WORDS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30).map(str.strip)


def expressible(text: str) -> bool:
    """Some quotes bring it back: not every text has such, for the grammar knows no escapes."""
    return "\0" not in text and _reads_back(text)


def _reads_back(text: str) -> bool:
    try:
        return parse(f"FROM x\nSYSTEM {quoted(text)}\n").commands == (
            Command("from", "x"),
            Command("system", text),
        )
    except InvalidModelfile:
        return False


COMMAND = (
    st.builds(Command, st.sampled_from(KINDS), WORDS.filter(expressible))
    | st.builds(Command, st.just("system"), TEXTS.filter(expressible))
    | st.builds(Command, st.just("parameter"), TEXTS.filter(expressible), NAMES)
    | st.builds(
        Command, st.just("message"), TEXTS.filter(expressible), st.sampled_from(["user", "assistant"])
    )
)


@given(st.lists(COMMAND, max_size=6))
def test_what_is_printed_parses_back_to_the_same(commands: list[Command]) -> None:
    modelfile = Modelfile((Command("from", "x"), *commands))
    assert parse(str(modelfile)) == modelfile


@given(TEXTS)
@example('" ')
@example(" a")
@example("a\n")
@example('"a')
@example('a"\nb')
@example('a"""\nb')
@example("")
@example("\ta\r")
def test_every_text_without_both_quotes_at_line_ends_can_be_written(text: str) -> None:
    lines = [line.rstrip(" \t") for line in text.replace("\r", "\n").split("\n")]
    if not any(line.endswith('"""') for line in lines[:-1]):
        assert _reads_back(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("plain", "plain"),
        ('He said "hi"', 'He said "hi"'),
        ("<|eot_id|>", "<|eot_id|>"),
        ("two\nlines", '"two\nlines"'),
        (" space", '" space"'),
        ('"quoted" \n', '""""quoted" \n"""'),
    ],
)
def test_values_are_printed_as_the_reference_prints_them(text: str, printed: str) -> None:
    assert quoted(text) == printed


@given(st.text(max_size=200) | st.lists(st.sampled_from(
    ["FROM", "SYSTEM", "MESSAGE", "PARAMETER", " ", "\n", '"', '"""', "x", "user", "stop", "#", "\t", "\r\n"]
), max_size=40).map("".join))  # fmt: skip
def test_any_text_is_a_modelfile_or_an_error_of_its_own(text: str) -> None:
    try:
        modelfile = parse(text)
    except InvalidModelfile as error:
        lines = [error.line or 1]
    else:
        lines = [command.line for command in modelfile.commands]
    assert lines == sorted(lines)
    assert all(1 <= line <= text.count("\n") + text.count("\r") + 1 for line in lines)

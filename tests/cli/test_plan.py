"""`plan`: exact transcripts."""

from __future__ import annotations

from tests.cli.conftest import Run, Transcript
from tests.cli.fakeserver import Fake, as_json

PLACEMENT = {
    "context_length": 4096,
    "slots": 4,
    "memory": {"cpu": 480_000_000, "cuda:0": 520_000_000},
    "size": 10**9,
}


def test_plan_says_where_a_model_would_go_and_who_would_leave(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/plan"] = as_json(
        {
            "model": "big",
            "outcome": "after-others",
            "why": "needs 1.0 GiB",
            "placement": PLACEMENT,
            "leaving": [{"name": "small:latest", "condition": "idle"}],
            "earliest_seconds": 2.5,
        }
    )
    said = (
        "big would be loaded after others made room\n"
        "  why        needs 1.0 GiB\n"
        "  where      48%/52% CPU/GPU (cpu 480 MB, cuda:0 520 MB)\n"
        "  context    4096 tokens in each of 4 slots\n"
        "  leaves     small:latest (idle)\n"
        "  earliest   in 2.5 s, when busy ones stop taking requests\n"
    )
    assert tropa("plan", "big", "--num-ctx", "4096", "--parallel", "4") == Transcript(0, said, "")


def test_a_refusal_is_exit_status_1(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/plan"] = as_json({"model": "huge", "outcome": "refused", "why": "too big"})
    assert tropa("plan", "huge") == Transcript(1, "huge would be refused\n  why        too big\n", "")

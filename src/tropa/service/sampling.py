"""What generate and chat have in common: checks of the fields they share, and their words for the engine."""

from __future__ import annotations

from typing import Any

from tropa.service.asks import Sampled
from tropa.service.constraint import check_think
from tropa.service.errors import InvalidRequest
from tropa.service.options import Options

MOST_LOGPROBS = 20


def check(ask: Sampled) -> None:
    """Before the model is looked at. Raises InvalidRequest."""
    if not 0 <= ask.top_logprobs <= MOST_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {MOST_LOGPROBS}")
    check_think(ask.think)


def body(ask: Sampled, options: Options, context: int, form: str | None = None) -> dict[str, Any]:
    """The fields that both of the engine's routes know, for a slot of `context` tokens. `form`: its grammar."""
    fields = options.sampling(context)
    fields["n_predict"] = options.num_predict
    if form is not None:
        fields["grammar"] = form
    if ask.logprobs:
        fields["logprobs"] = True
        fields["top_logprobs"] = fields["n_probs"] = max(1, ask.top_logprobs)
    if ask.logit_bias:
        fields["logit_bias"] = [[token, bias] for token, bias in ask.logit_bias.items()]
    return fields

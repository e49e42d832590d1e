"""What can go wrong when a model is made smaller."""

from __future__ import annotations

from tropa.errors import TropaError


class UnknownQuantization(TropaError):
    """No such type, or one that cannot be made here."""

    code = "unknown-quantization"


class CannotQuantize(TropaError):
    """This model cannot be brought to that type."""

    code = "cannot-quantize"


class QuantizerFailed(TropaError):
    """The process that does the work ended early; what it said last is in the message."""

    code = "quantizer-failed"

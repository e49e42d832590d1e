"""What can go wrong with a runner, as its callers meet it."""

from __future__ import annotations

from tropa.errors import TropaError


class LoadFailed(TropaError):
    """The engine could not load the model. `out_of_memory`: making room and trying again may help."""

    code = "load-failed"

    def __init__(self, message: str, *, out_of_memory: bool = False) -> None:
        super().__init__(message)
        self.out_of_memory = out_of_memory


class RunnerDied(TropaError):
    """The engine process ended, or broke its connection, while it worked for this request."""

    code = "runner-died"


class EngineRefused(TropaError):
    """The engine answered with an error of its own; `status` is the one it gave."""

    code = "engine-refused"

    def __init__(self, message: str, status: int, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class ContextExceeded(TropaError):
    """The prompt does not fit the context of a slot. Both numbers are in the message, and here (tokens)."""

    code = "context-exceeded"

    def __init__(self, prompt: int, context: int) -> None:
        super().__init__(
            f"the prompt is {prompt} tokens long and exceeds the available context size ({context} tokens); "
            "shorten it, or ask for more context with the option num_ctx"
        )
        self.prompt = prompt
        self.context = context

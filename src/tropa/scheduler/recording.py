"""Histories as JSON and back: a bug report is a file that replays.

Every event, action and policy is a frozen dataclass of plain values, so one generic codec does: objects carry
their class name under "_", sequences become tuples again, enums are rebuilt from the field's class.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

from tropa.scheduler import actions, demand, events, machine, policy
from tropa.scheduler.actions import Action
from tropa.scheduler.core import Scheduler
from tropa.scheduler.events import Event
from tropa.scheduler.policy import Policy

_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for module in (actions, demand, events, machine, policy)
    for cls in vars(module).values()
    if isinstance(cls, type) and (dataclasses.is_dataclass(cls) or issubclass(cls, Enum))
}


def encode(value: Any) -> Any:
    """Plain JSON values. Defaults are left out: recordings stay short and survive new fields."""
    if isinstance(value, Enum):
        return {"_": type(value).__name__, "value": value.value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: encode(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.default is dataclasses.MISSING or getattr(value, f.name) != f.default
        }
        return {"_": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """The inverse of `encode`."""
    if isinstance(value, list):
        return tuple(decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "_" not in value:
        return {key: decode(item) for key, item in value.items()}
    cls = _CLASSES[value["_"]]
    if issubclass(cls, Enum):
        return cls(value["value"])
    return cls(**{key: decode(item) for key, item in value.items() if key != "_"})


def dump(policy_: Policy, history: Iterable[tuple[Event, Sequence[Action]]]) -> str:
    """A recording: the policy on the first line, then one line per event with what followed."""
    lines = [json.dumps(encode(policy_))]
    lines += [json.dumps({"event": encode(e), "actions": encode(list(a))}) for e, a in history]
    return "\n".join(lines) + "\n"


def load(text: str) -> tuple[Policy, list[tuple[Event, tuple[Action, ...]]]]:
    """Read a recording."""
    first, *rest = text.splitlines()
    pairs = [json.loads(line) for line in rest]
    return decode(json.loads(first)), [(decode(p["event"]), decode(p["actions"])) for p in pairs]


def replay(text: str) -> list[tuple[Event, tuple[Action, ...], tuple[Action, ...]]]:
    """Run a recording that starts at the scheduler's birth: per event, what came then and what comes now."""
    recorded_policy, history = load(text)
    scheduler = Scheduler(recorded_policy, checked=True)
    return [(event, then, tuple(scheduler.handle(event))) for event, then in history]

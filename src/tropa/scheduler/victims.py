"""Who leaves to make room: as few as possible, those missed least."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from tropa.scheduler.actions import Placement
from tropa.scheduler.ledger import Room, add
from tropa.scheduler.runner import Phase, Runner
from tropa.scheduler.state import State

_Fits = Callable[[Room], Placement | None]


def candidates(state: State) -> list[Runner]:
    """Runners that could leave, least missed first: idle, draining, busy, still loading; pinned last."""
    staying = [runner for runner in state.runners.values() if runner.phase is not Phase.LEAVING]
    return sorted(staying, key=lambda runner: _missed(state, runner))


def _missed(state: State, runner: Runner) -> tuple[bool, int, bool, float, int]:
    if runner.phase is Phase.LOADING:
        return (runner.pinned, 3, False, runner.started_at, runner.id)
    if runner.draining_for is not None:
        # After the idle: if those are enough, they leave at once, and this one may serve on.
        return (runner.pinned, 1, False, 0.0, runner.id)
    if state.has_work(runner) or lingers_until(state, runner) > state.now:
        return (runner.pinned, 2, False, runner.ready_at, runner.id)  # the longest turn ends first
    # What bringing it back costs, against how long nobody needed it. Kept for ever by default counts as a
    # wish, but only among the idle.
    value = runner.load_seconds / (1.0 + state.now - runner.idle_since)
    return (runner.pinned, 0, runner.duration == math.inf, value, runner.id)


def lingers_until(state: State, runner: Runner) -> float:
    """Until then an idle runner counts as having work: its client may be about to ask again."""
    return min(runner.idle_since + state.policy.linger, runner.residency_ends(state.policy))


def least_victims(
    state: State,
    room: Room,
    spare: int,
    forced: Sequence[Runner],
    others: Iterable[Runner],
    fits: _Fits,
) -> tuple[Placement, list[Runner]] | None:
    """The forced ones and as few others as make it fit, taken in order; None if even all are not enough.

    `spare` is how many more runners there may be before any leaves.
    """
    room = dict(room)
    for runner in forced:
        add(room, state.ledger.held(runner.id))
    count = spare + len(forced)
    placement = fits(room) if count > 0 else None
    added: list[Runner] = []
    for runner in others:
        if placement is not None:
            break
        add(room, state.ledger.held(runner.id))
        count += 1
        added.append(runner)
        placement = fits(room) if count > 0 else None
    if placement is None:
        return None
    for runner in reversed(added[:-1]):  # the last one was needed; of the others, keep the most missed
        trial = dict(room)
        for device, size in state.ledger.held(runner.id).items():
            trial[device] = trial.get(device, 0) - size
        if count > 1 and (smaller := fits(trial)) is not None:
            placement, room, count = smaller, trial, count - 1
            added.remove(runner)
    return placement, [*forced, *added]

"""One model as the scheduler sees it: who waits for it, and its runner."""

from __future__ import annotations

from dataclasses import dataclass, field

from tropa.scheduler.actions import Placement
from tropa.scheduler.demand import Demand
from tropa.scheduler.fairqueue import FairQueue, Rounds
from tropa.scheduler.placement import Ask, Costs, Hope
from tropa.scheduler.reload import Shape, serves
from tropa.scheduler.request import Request
from tropa.scheduler.runner import Runner


@dataclass(slots=True)
class Model:
    """Waiting requests are in one of two queues: `now` if the current runner can serve them (ready or still
    loading), `later` if they need a load first."""

    key: str
    costs: Costs
    name: str = ""
    """The one under which it was asked for last."""
    rounds: Rounds = field(default_factory=Rounds)
    now: FairQueue = field(default_factory=FairQueue)
    later: FairQueue = field(default_factory=FairQueue)
    runner: Runner | None = None
    """The loading or ready one; never more than one. Leaving ones are no longer the model's."""
    line_since: float = 0.0
    """When it last joined the line of models that need a load."""
    hot_context: int = 0
    """What its last runner had per slot, if that left with requests still waiting: never down while hot."""
    jumped: bool = False
    """It stood first in line for the retry of a failed load."""
    deaths: int = 0
    """In a row, without one finished request."""
    hopes: dict[tuple[Shape, int, bool], Hope] = field(default_factory=dict)
    """Where it would go on a machine of its own: per shape, floor, and whether it is a retry (asks.py)."""
    reserved: tuple[Ask, Placement] | None = None
    """The place that models behind it in the line were kept out of."""
    told: tuple[int, ...] = ()
    told_why: str = ""
    """What the log was last told of its waiting: the gist and the words."""

    @property
    def demand(self) -> Demand:
        """The newest description of the model."""
        return self.costs.demand

    @property
    def waiting(self) -> int:
        """All of them."""
        return len(self.now) + len(self.later)

    def renew(self, demand: Demand) -> None:
        """A request brought a description; a new object means that something was learned."""
        if demand is not self.costs.demand:
            self.costs = Costs(demand)
            self.hopes.clear()

    def join(self, request: Request) -> None:
        """Wait in the right queue."""
        self.name = request.name
        request.round = self.rounds.join(request.client)
        runner = self.runner
        if runner is not None and runner.draining_for is None and serves(runner.setup, request.shape):
            self.now.push(request)
        else:
            self.later.push(request)

    def leave(self, request: Request) -> None:
        """Stop waiting, wherever it is."""
        self.rounds.leave(request)
        if not self.later.discard(request):
            self.now.discard(request)

    def postpone_all(self) -> None:
        """The runner is lost to those who wait: they need a load."""
        if not self.later:
            self.now, self.later = self.later, self.now
        for request in self.now.take_all():
            self.later.push(request)

    def admit_all(self) -> None:
        """There is a runner (loading, or no longer draining): whoever it can serve waits for it."""
        assert self.runner is not None
        setup = self.runner.setup
        served = {shape for shape in self.later.shapes if serves(setup, shape)}
        if not self.now and len(served) == len(self.later.shapes):  # the usual case, whatever the number
            self.now, self.later = self.later, self.now
        elif served:
            for request in self.later.take_all():
                (self.now if request.shape in served else self.later).push(request)

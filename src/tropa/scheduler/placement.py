"""Where a model goes: one GPU whole, else split over GPUs, else partly on GPUs, else the CPU.

`place` is a pure function of the room it is given. Rungs come before sizes: a smaller automatic context on
one GPU beats a larger one half on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tropa.scheduler.actions import Fit, Placement
from tropa.scheduler.demand import Demand, Measured, Need, need
from tropa.scheduler.ledger import ALL, Ledger, Room, holds
from tropa.scheduler.machine import CPU, Device

PARTIAL_SHARE = 0.75
"""A partial offload beside other models is good enough with this share of the layers it would get alone; for
less, others should leave."""

_Shape = tuple[int, int, int]


@dataclass(slots=True)
class Costs:
    """A model's arithmetic, remembered while its Demand stays the same object."""

    demand: Demand
    _needs: dict[_Shape, Need] = field(default_factory=dict)
    _measured: dict[tuple[int, int, int, int, int], Measured] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for m in self.demand.measured:
            self._measured[m.context, m.slots, m.batch, m.gpu_layers, len(m.gpus)] = m

    def need(self, context: int, slots: int, batch: int) -> Need:
        """Predicted bytes."""
        shape = (context, slots, batch)
        if (found := self._needs.get(shape)) is None:
            if len(self._needs) > 256:  # a client that counts its contexts up one by one
                self._needs.clear()
            found = self._needs[shape] = need(self.demand, context, slots, batch)
        return found

    @property
    def remembers(self) -> bool:
        """Whether anything was measured before."""
        return bool(self._measured)

    def measured(self, context: int, slots: int, batch: int, gpu_layers: int, gpus: int) -> Measured | None:
        """What this very shape took before."""
        return self._measured.get((context, slots, batch, gpu_layers, gpus))


@dataclass(frozen=True, slots=True)
class Ask:
    """What may be tried. First choices first; `contexts` are per slot."""

    contexts: tuple[int, ...]
    slots: tuple[int, ...]
    batch: int
    gpu_layers: int | None = None
    main_gpu: int | None = None
    projector_on_gpu: bool = True
    margin: float = 1.0
    """Promise this many times the prediction (as far as the machine has it): the engine ran out before."""
    least: Fit = Fit.CPU
    least_layers: int = 0
    """With `least` PARTIAL: at least so many pieces on GPUs."""


@dataclass(frozen=True, slots=True)
class Hope:
    """What a model would get on a machine of its own: the measure for every other place.

    `place` None: there is no hope as long as others use what they use. `narrowed` asks for no less.
    """

    version: int
    """Of the ledger for which this is true."""
    ask: Ask
    place: Placement | None
    narrowed: Ask


@dataclass(frozen=True, slots=True)
class _Size:
    """One (context, slots) to try, with its batch and bytes."""

    context: int
    slots: int
    batch: int
    need: Need


@dataclass(frozen=True, slots=True)
class _Deal:
    """Pieces dealt to GPUs: how many each, and the bytes there."""

    gpus: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    used: tuple[int, ...] = ()


@dataclass(slots=True)
class _Search:
    costs: Costs
    ask: Ask
    room: Room
    ledger: Ledger

    def sizes(self) -> Iterator[_Size]:
        """All that may be tried, the best first."""
        for context in self.ask.contexts:
            for slots in self.ask.slots:
                yield self.size(context, slots)

    def smallest(self) -> _Size:
        """The last resort."""
        return self.size(self.ask.contexts[-1], self.ask.slots[-1])

    def size(self, context: int, slots: int) -> _Size:
        # An embedding model must see its whole input in one batch, and an engine dies at once whose batch has no
        # room for one token of each slot.
        batch = max(self.ask.batch, slots, context if self.costs.demand.embedding else 0)
        return _Size(context, slots, batch, self.costs.need(context, slots, batch))

    def hopeless(self, layers: int) -> bool:
        """Whether all GPUs together are too small for the smallest size: most questions end here."""
        if self.costs.remembers:
            return False  # what was measured may be less than predicted
        need = self.smallest().need
        rooms = [self.room.get(gpu.id, 0) - need.gpu_fixed for gpu in self.ledger.gpus]
        return sum(room for room in rooms if room > 0) < need.top(layers)

    def single(self, gpus: Sequence[Device], layers: int) -> Placement | None:
        """`layers` pieces on the best one GPU that takes them: discrete first, then the most room."""
        projectors = self.projectors(layers)
        for size in self.sizes():
            need = size.need
            pieces = need.top(layers) + need.gpu_fixed
            # What was measured may be less than predicted; else most GPUs can be passed over at a glance.
            least = 0 if self.costs.remembers else pieces
            for gpu in _best_first((g for g in gpus if self.room.get(g.id, 0) >= least), self.room):
                for projector in projectors:
                    used = pieces + (need.projector if projector else 0)
                    deal = _Deal((gpu.id,), (layers,), (used,))
                    if (found := self.offer(size, layers, deal, projector)) is not None:
                        return found
        return None

    def split(self, groups: Sequence[Sequence[Device]], layers: int) -> Placement | None:
        """`layers` pieces over the fewest GPUs of one library that take them; over all with spread."""
        for size in self.sizes():
            whole = size.need.top(layers)
            for group in groups:
                if sum(max(0, self.room.get(gpu.id, 0) - size.need.gpu_fixed) for gpu in group) < whole:
                    continue
                fewest = len(group) if self.ledger.policy.spread else 2
                for count in range(fewest, len(group) + 1):
                    for projector in self.projectors(layers):
                        deal = self.deal(group[:count], size.need, layers, projector)
                        if deal is None:
                            continue
                        if (found := self.offer(size, layers, deal, projector)) is not None:
                            return found
        return None

    def partial(self, groups: Sequence[Sequence[Device]]) -> Placement | None:
        """As many pieces as go onto one group, the last ones first, the rest on the CPU."""
        size = self.smallest()
        best: Placement | None = None
        for group in groups:
            deal = self.fill(group, size.need)
            layers = sum(deal.counts)
            if not 0 < layers < self.costs.demand.pieces or layers < self.ask.least_layers:
                continue
            found = self.offer(size, layers, deal, projector=False)
            if found is not None and (best is None or found.gpu_layers > best.gpu_layers):
                best = found
        return best

    def cpu(self) -> Placement | None:
        """Everything on the CPU."""
        for size in self.sizes():
            if (found := self.offer(size, 0, _Deal(), projector=False)) is not None:
                return found
        return None

    def projectors(self, layers: int) -> tuple[bool, ...]:
        """Whether to try the projector on the GPU: only beside a whole model."""
        demand = self.costs.demand
        if demand.projector and self.ask.projector_on_gpu and layers >= demand.pieces:
            return (True, False)
        return (False,)

    def deal(self, gpus: Sequence[Device], need: Need, layers: int, projector: bool) -> _Deal | None:
        """Deal the last `layers` pieces in order, in proportion to the GPUs' room; else filling up."""
        pieces = need.pieces[len(need.pieces) - layers :]
        extra = need.projector if projector else 0
        room = [self.room.get(gpu.id, 0) - need.gpu_fixed - (0 if i else extra) for i, gpu in enumerate(gpus)]
        usable = sum(max(0, r) for r in room)
        total = sum(pieces)
        if usable < total or min(room) <= 0:
            return None
        for share in (total / usable, 1.0):
            counts, used = [0] * len(gpus), [0] * len(gpus)
            at, reach, done = 0, room[0] * share, 0.0
            for piece in pieces:
                while at < len(gpus) and (
                    used[at] + piece > room[at] or (done + piece / 2 > reach and at + 1 < len(gpus))
                ):
                    at += 1
                    if at < len(gpus):
                        reach += room[at] * share
                if at == len(gpus):
                    break
                counts[at] += 1
                used[at] += piece
                done += piece
            else:
                return _dealt(gpus, counts, used, need.gpu_fixed, extra)
        return None

    def fill(self, gpus: Sequence[Device], need: Need) -> _Deal:
        """From the last piece backwards, onto the last GPU until it is full, then the one before."""
        counts, used = [0] * len(gpus), [0] * len(gpus)
        at = len(gpus) - 1
        for piece in reversed(need.pieces):
            while at >= 0 and need.gpu_fixed + used[at] + piece > self.room.get(gpus[at].id, 0):
                at -= 1
            if at < 0:
                break
            counts[at] += 1
            used[at] += piece
        return _dealt(gpus, counts, used, need.gpu_fixed, 0)

    def offer(self, size: _Size, layers: int, deal: _Deal, projector: bool) -> Placement | None:
        """The placement, if what it really takes (as measured before, or with the margin) fits the room."""
        used = deal.used
        remembered = self.costs.measured(size.context, size.slots, size.batch, layers, len(used))
        if remembered is not None:
            host, used = remembered.host + self.costs.demand.prompt_cache, remembered.gpus
        else:
            host = size.need.host(layers, projector)
        promised = {CPU: host, **dict(zip(deal.gpus, used, strict=True))}
        if self.ask.margin > 1.0:
            capacity = self.ledger.capacity
            promised = {
                d: max(least, min(int(least * self.ask.margin), capacity.get(d, 0)))
                for d, least in promised.items()
            }
        if not holds(self.room, self.ledger.charge(promised)):
            return None
        fit = Fit.GPU if layers >= len(size.need.pieces) else Fit.PARTIAL
        return Placement(
            context=size.context,
            slots=size.slots,
            batch=size.batch,
            fit=fit if layers else Fit.CPU,
            gpu_layers=layers,
            gpus=deal.gpus,
            tensor_split=deal.counts,
            projector_on_gpu=projector,
            promised=promised,
        )


def _dealt(gpus: Sequence[Device], counts: list[int], used: list[int], fixed: int, extra: int) -> _Deal:
    kept = [i for i, count in enumerate(counts) if count]
    return _Deal(
        tuple(gpus[i].id for i in kept),
        tuple(counts[i] for i in kept),
        tuple(used[i] + fixed + (extra if n == 0 else 0) for n, i in enumerate(kept)),
    )


def place(costs: Costs, ask: Ask, room: Room, ledger: Ledger) -> Placement | None:
    """The best placement in this room that is at least `ask.least`, or None."""
    search = _Search(costs, ask, room, ledger)
    pieces = costs.demand.pieces
    layers = pieces if ask.gpu_layers is None else min(ask.gpu_layers, pieces)
    on_gpus_or_not_at_all = ask.gpu_layers is not None or ask.least is Fit.GPU
    if not ledger.gpus or layers == 0:
        return search.cpu()
    if on_gpus_or_not_at_all and search.hopeless(layers):
        return None
    gpus = _candidates(ask, ledger)
    spread = ledger.policy.spread and len(gpus) > 1
    found = None if spread else search.single(gpus, layers)
    if found is None and len(gpus) > 1:
        found = search.split(_groups(gpus, room), layers)
    if found is None and spread:  # spreading was a wish; not to run at all would be worse
        found = search.single(gpus, layers)
    if found is not None or on_gpus_or_not_at_all:
        return found
    found = search.partial(_groups(gpus, room))
    if found is not None or ask.least is Fit.PARTIAL:
        return found
    return search.cpu()


def shortfall(costs: Costs, ask: Ask, room: Room, ledger: Ledger) -> tuple[int, int]:
    """For a model that nothing can hold: the bytes it needs at the least, and those there are for it.

    Counted where it fails: on the whole when a limit on everything is what it breaks, else on the CPU with as
    much as possible on GPUs.
    """
    search = _Search(costs, ask, room, ledger)
    size = search.smallest()
    host = size.need.host(0, projector_on_gpu=False)
    if (remembered := costs.measured(size.context, size.slots, size.batch, 0, 0)) is not None:
        host = remembered.host + costs.demand.prompt_cache
    best = (host, room.get(CPU, 0), 0)
    if ask.gpu_layers != 0:
        for group in _groups(_candidates(ask, ledger), room):
            deal = search.fill(group, size.need)
            host = size.need.host(sum(deal.counts), projector_on_gpu=False)
            best = min(best, (host, room.get(CPU, 0), sum(deal.used)))
    host, free, elsewhere = best
    if host > free:
        return host, free
    return host + elsewhere, room.get(ALL, 0)


def _candidates(ask: Ask, ledger: Ledger) -> tuple[Device, ...]:
    if ask.main_gpu is None:
        return ledger.gpus
    return ledger.gpus[ask.main_gpu : ask.main_gpu + 1]  # none if it went away since it was asked for


def _best_first(gpus: Iterable[Device], room: Room) -> list[Device]:
    return sorted(gpus, key=lambda gpu: (gpu.integrated, -room.get(gpu.id, 0), gpu.id))


def _groups(gpus: Sequence[Device], room: Room) -> list[list[Device]]:
    """GPUs that can share a model, best group first. Discrete and integrated ones don't mix: the slower would
    hold the faster back."""
    groups: dict[tuple[str, bool], list[Device]] = {}
    for gpu in _best_first(gpus, room):
        groups.setdefault((gpu.library, gpu.integrated), []).append(gpu)
    return list(groups.values())


def growth(costs: Costs, promised: Mapping[str, int]) -> dict[str, int]:
    """What a freshly loaded runner may still take beyond what it holds: its prompt cache."""
    size = min(costs.demand.prompt_cache, promised.get(CPU, 0))
    return {CPU: size} if size else {}

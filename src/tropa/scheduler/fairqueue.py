"""Who is next among those waiting for one model: every client in turn, each client's own in order.

Each request gets its *round* when it joins: a client has at most one request in each. Whoever has the lowest
round is next, and within a round whoever came first. So a request keeps its place wherever it is moved, which
rotating lists of clients did not: requests moved between two queues fell behind newer ones again and again, and
the simulation found one that waited for ever.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from tropa.scheduler.reload import Shape
from tropa.scheduler.request import Request


@dataclass(slots=True)
class Rounds:
    """Hands out rounds among the clients of one model."""

    current: int = 0
    """The round of the last request served."""
    _waiting: dict[str, list[int]] = field(default_factory=dict)
    """Per client with requests waiting: the round of its last one, and how many there are."""
    _served: dict[str, int] = field(default_factory=dict)
    """The round in which a client was last served; matters as long as that is the current one."""

    def join(self, client: str) -> int:
        """The round of a client's next request."""
        entry = self._waiting.get(client)
        if entry is None:
            turn = max(self.current, self._served.get(client, -1) + 1)
            self._waiting[client] = [turn, 1]
        else:
            turn = entry[0] = max(self.current, entry[0] + 1)
            entry[1] += 1
        return turn

    def serve(self, request: Request) -> None:
        """The request got its slot."""
        self.leave(request)
        if request.round > self.current:
            self.current = request.round
            self._served.clear()  # older rounds put nobody behind
        if request.round == self.current:
            self._served[request.client] = request.round

    def leave(self, request: Request) -> None:
        """The request waits no more. A client with none left starts afresh: cancelling costs nothing."""
        entry = self._waiting[request.client]
        entry[1] -= 1
        if entry[1] == 0:
            del self._waiting[request.client]


@dataclass(slots=True)
class FairQueue:
    """Requests by round. Leaving from the middle is as cheap as from the front."""

    shapes: dict[Shape, int] = field(default_factory=dict)
    """How many of each shape wait here: few, where requests are many."""
    _members: dict[int, Request] = field(default_factory=dict)
    _heap: list[tuple[int, int]] = field(default_factory=list)
    """(round, id), also of some that have left."""

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Request]:
        """In no order that matters, but always the same."""
        return iter(self._members.values())

    def push(self, request: Request) -> None:
        """Wait here."""
        self._members[request.id] = request
        heapq.heappush(self._heap, (request.round, request.id))
        self.shapes[request.shape] = self.shapes.get(request.shape, 0) + 1

    def first(self) -> Request:
        """Who is next, left in place."""
        while self._heap[0][1] not in self._members:
            heapq.heappop(self._heap)
        return self._members[self._heap[0][1]]

    def pop(self) -> Request:
        """Take who is next."""
        request = self.first()
        heapq.heappop(self._heap)
        self._forget(request)
        return request

    def discard(self, request: Request) -> bool:
        """Leave, if waiting here."""
        if request.id not in self._members:
            return False
        self._forget(request)
        if len(self._heap) > 2 * len(self._members) + 64:
            self._heap = [(r.round, r.id) for r in self._members.values()]
            heapq.heapify(self._heap)
        return True

    def take_all(self) -> list[Request]:
        """Empty the queue."""
        taken = list(self._members.values())
        self._members.clear()
        self._heap.clear()
        self.shapes.clear()
        return taken

    def _forget(self, request: Request) -> None:
        del self._members[request.id]
        left = self.shapes[request.shape] - 1
        if left:
            self.shapes[request.shape] = left
        else:
            del self.shapes[request.shape]

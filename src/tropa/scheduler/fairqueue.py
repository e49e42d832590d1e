"""Who is next among those waiting for one model: every client in turn, each client's own in order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tropa.scheduler.reload import Shape
from tropa.scheduler.request import Request


@dataclass(slots=True)
class FairQueue:
    """Every operation is constant time, also leaving from the middle: cancelling must cost nothing."""

    shapes: dict[Shape, int] = field(default_factory=dict)
    """How many of each shape wait here: few, where requests are many."""
    _clients: OrderedDict[str, OrderedDict[int, Request]] = field(default_factory=OrderedDict)
    _size: int = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Request]:
        """Client by client; the order in which they'd be served differs."""
        for requests in self._clients.values():
            yield from requests.values()

    def push(self, request: Request) -> None:
        """A client who wasn't waiting joins at the end of the round."""
        requests = self._clients.get(request.client)
        if requests is None:
            requests = self._clients[request.client] = OrderedDict()
        requests[request.id] = request
        self._size += 1
        self.shapes[request.shape] = self.shapes.get(request.shape, 0) + 1

    def first(self) -> Request:
        """Who is next, left in place."""
        return next(iter(next(iter(self._clients.values())).values()))

    def pop(self) -> Request:
        """Take who is next; their client goes to the end of the round."""
        client, requests = next(iter(self._clients.items()))
        _, request = requests.popitem(last=False)
        if requests:
            self._clients.move_to_end(client)
        else:
            del self._clients[client]
        self._shrink(request)
        return request

    def discard(self, request: Request) -> bool:
        """Leave, if waiting here."""
        requests = self._clients.get(request.client)
        if requests is None or requests.pop(request.id, None) is None:
            return False
        if not requests:
            del self._clients[request.client]
        self._shrink(request)
        return True

    def _shrink(self, request: Request) -> None:
        self._size -= 1
        left = self.shapes[request.shape] - 1
        if left:
            self.shapes[request.shape] = left
        else:
            del self.shapes[request.shape]

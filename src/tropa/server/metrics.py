"""`GET /metrics`: what Prometheus scrapes. Counted when a request ends, never per token, and no runner is ever asked.

Labels are bounded: routes are those of the table, methods those of HTTP, models those that got a slot, so names that
the library knew. `prometheus-client` is imported by the first scrape; until then the counts are plain numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from tropa import __version__
from tropa.scheduler.view import RunnerState, View
from tropa.server.journal import Exchange
from tropa.server.respond import send_bytes

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

SECOND = 1_000_000_000  # nanoseconds
BUCKETS = (
    0.001,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
)
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER = "other"  # a path or a method that we don't know: clients could make up any number of them


class Spread:
    """A histogram: how many values were at most each bound, per label."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, label: str, nanoseconds: int) -> None:
        seconds = nanoseconds / SECOND
        counts = self._counts.setdefault(label, [0] * (len(BUCKETS) + 1))
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[label] = self._sums.get(label, 0.0) + seconds

    def rows(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Label, cumulated buckets with their bounds as text, sum."""
        for label, counts in self._counts.items():
            total = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
                total += count
                buckets.append((bound, total))
            yield label, buckets, self._sums[label]


class Metrics:
    """The server's counts. Each scrape asks `view` for the herd's picture, `in_progress` for what is under way."""

    def __init__(self, view: Callable[[], View], in_progress: Callable[[], int]) -> None:
        self._view = view
        self._in_progress = in_progress
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._tokens: dict[str, Counter[str]] = {
            "prompt": Counter(),
            "cached": Counter(),
            "generated": Counter(),
        }
        self._busy: dict[str, Counter[str]] = {"prompt": Counter(), "generation": Counter()}
        self._durations, self._queue, self._load, self._first = Spread(), Spread(), Spread(), Spread()
        self._registry: CollectorRegistry | None = None

    def ended(self, exchange: Exchange) -> None:
        """Count one exchange."""
        method = exchange.method if exchange.method in METHODS else OTHER
        route = exchange.route or OTHER
        self._requests[method, route, str(exchange.status)] += 1
        self._durations.add(route, exchange.ended - exchange.began)
        account = exchange.account
        if not (model := account.model):
            return
        self._queue.add(model, account.queue_ns)
        self._load.add(model, account.load_ns)
        if exchange.streamed:
            self._first.add(model, exchange.first - exchange.began)
        self._tokens["prompt"][model] += account.prompt_tokens
        self._tokens["cached"][model] += account.cached_tokens
        self._tokens["generated"][model] += account.tokens
        self._busy["prompt"][model] += account.prompt_ns
        self._busy["generation"][model] += account.generation_ns

    async def scrape(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET /metrics`"""
        from prometheus_client.exposition import choose_encoder

        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        encode, content_type = choose_encoder(accept)
        await send_bytes(send, encode(self._registered()), 200, content_type.encode())

    def collect(self) -> Iterator[Metric]:
        """Called back by the library at each scrape."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
            InfoMetricFamily,
        )

        yield InfoMetricFamily("tropa_build", "The running version.", value={"version": __version__})
        yield GaugeMetricFamily("tropa_http_requests_in_progress", "Requests under way.", self._in_progress())
        requests = CounterMetricFamily(
            "tropa_http_requests",
            "Requests that ended; status 499: the client left.",
            labels=["method", "route", "status"],
        )
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        yield requests
        spreads = (
            (
                "tropa_http_request_duration_seconds",
                "First byte of the request to last of the answer.",
                "route",
                self._durations,
            ),
            (
                "tropa_request_queue_seconds",
                "Waiting for a slot, without the load of its model.",
                "model",
                self._queue,
            ),
            ("tropa_request_load_seconds", "Waiting for its model to load.", "model", self._load),
            (
                "tropa_request_first_token_seconds",
                "To the first piece of a streamed answer.",
                "model",
                self._first,
            ),
        )
        for name, text, label, spread in spreads:
            histogram = HistogramMetricFamily(name, text, labels=[label])
            for value, buckets, total in spread.rows():
                histogram.add_metric([value], buckets, total)
            yield histogram
        texts = {
            "prompt": "Tokens of prompts, cached ones included.",
            "cached": "Tokens of prompts that did not have to be evaluated again.",
            "generated": "Tokens of answers.",
        }
        for kind, text in texts.items():
            tokens = CounterMetricFamily(f"tropa_{kind}_tokens", text, labels=["model"])
            for model, count in self._tokens[kind].items():
                tokens.add_metric([model], count)
            yield tokens
        for kind, by_model in self._busy.items():
            busy = CounterMetricFamily(
                f"tropa_{kind}_seconds", f"Time of runners in {kind}.", labels=["model"]
            )
            for model, nanoseconds in by_model.items():
                busy.add_metric([model], nanoseconds / SECOND)
            yield busy
        for name, text, by, values in _pictured(self._view()):
            gauge = GaugeMetricFamily(name, text, labels=by)
            for key, number in values.items():
                gauge.add_metric(key, number)
            yield gauge

    def _registered(self) -> CollectorRegistry:
        if self._registry is None:
            from prometheus_client import CollectorRegistry, ProcessCollector

            self._registry = CollectorRegistry()
            ProcessCollector(registry=self._registry)
            self._registry.register(self)
        return self._registry


Gauge = tuple[str, str, list[str], dict[tuple[str, ...], float]]


def _pictured(view: View) -> Iterator[Gauge]:
    """Gauges of the herd. A model that has two runners for a moment (one drains) is added up."""
    yield "tropa_queue_requests", "Requests that wait for a slot.", [], {(): sum(view.waiting.values())}
    yield "tropa_queue_models", "Models that wait to be loaded.", [], {(): len(view.line)}
    states: Counter[tuple[str, ...]] = Counter({(state.value,): 0 for state in RunnerState})
    states.update((each.state.value,) for each in view.runners)
    yield "tropa_runners", "Runners by state.", ["state"], dict(states)
    slots: Counter[tuple[str, ...]] = Counter()
    busy: Counter[tuple[str, ...]] = Counter()
    memory: Counter[tuple[str, ...]] = Counter()
    for each in view.runners:
        slots[each.name,] += each.slots
        busy[each.name,] += each.busy
        for device, size in each.bytes.items():
            memory[each.name, device] += size
    yield (
        "tropa_runner_slots",
        "Requests that the model's runners can work on at once.",
        ["model"],
        dict(slots),
    )
    yield "tropa_runner_slots_busy", "Requests that they work on.", ["model"], dict(busy)
    yield "tropa_runner_memory_bytes", "What they hold.", ["model", "device"], dict(memory)
    devices: tuple[tuple[str, str, Callable[[Any], int]], ...] = (
        ("total", "Memory there is.", lambda device: device.total),
        ("available", "Memory that models may use.", lambda device: device.available),
        ("promised", "Memory that models have, or were promised.", lambda device: device.promised),
        ("foreign", "Memory that others use.", lambda device: device.foreign),
    )
    for kind, text, read in devices:
        values: dict[tuple[str, ...], float] = {(device.id,): read(device) for device in view.devices}
        yield f"tropa_device_memory_{kind}_bytes", text, ["device"], values

"""`GET /metrics`: what Prometheus scrapes. Counted when a request ends, never per token, and no runner is ever asked.

Labels are bounded: routes are those of the table, methods those of HTTP, models those that a slot was waited for, so
names that the library knew, and of those not any number. `prometheus-client` is imported by the first scrape; until
then the counts are plain numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from tropa import __version__
from tropa.runners.chronicle import Chronicle
from tropa.runners.spread import MOST_LABELS, OTHER, SECOND, Spread
from tropa.scheduler.actions import Refusal
from tropa.scheduler.view import RunnerState, View
from tropa.server.journal import Exchange
from tropa.server.respond import send_bytes

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# OTHER is also said of a path or a method that we don't know: clients could make up any number of them.

_TOKENS = {
    "prompt": "Tokens of prompts, cached ones included.",
    "cached": "Tokens of prompts that did not have to be evaluated again.",
    "generated": "Tokens of answers.",
}


class Metrics:
    """The server's counts. Each scrape asks `view` for the herd's picture, `in_progress` for what is under way; the
    herd's `chronicle` has counts of its own."""

    def __init__(
        self, view: Callable[[], View], chronicle: Chronicle, in_progress: Callable[[], int]
    ) -> None:
        self._view = view
        self._chronicle = chronicle
        self._in_progress = in_progress
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._cut: Counter[tuple[str, ...]] = Counter()
        self._tokens: dict[str, Counter[tuple[str, ...]]] = {kind: Counter() for kind in _TOKENS}
        self._busy: dict[str, Counter[tuple[str, ...]]] = {"prompt": Counter(), "generation": Counter()}
        self._durations, self._queue, self._load, self._first = Spread(), Spread(), Spread(), Spread()
        self._models: set[str] = set()
        self._registry: CollectorRegistry | None = None

    def ended(self, exchange: Exchange) -> None:
        """Count one exchange."""
        method = exchange.method if exchange.method in METHODS else OTHER
        route = exchange.route or OTHER
        self._requests[method, route, str(exchange.status)] += 1
        self._durations.add(route, exchange.ended - exchange.began)
        if not exchange.whole:
            self._cut[(route,)] += 1
        account = exchange.account
        if not account.model:
            return
        model = self._told_apart(account.model)
        self._queue.add(model, account.queue_ns)
        self._load.add(model, account.load_ns)
        if exchange.streamed:
            self._first.add(model, exchange.first - exchange.began)
        self._tokens["prompt"][model,] += account.prompt_tokens
        self._tokens["cached"][model,] += account.cached_tokens
        self._tokens["generated"][model,] += account.tokens
        self._busy["prompt"][model,] += account.prompt_ns
        self._busy["generation"][model,] += account.generation_ns

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
        for name, text, by, values in self._counters():
            counter = CounterMetricFamily(name, text, labels=by)
            for key, number in values.items():
                counter.add_metric(key, number)
            yield counter
        for name, text, label, spread in self._spreads():
            histogram = HistogramMetricFamily(name, text, labels=[label])
            for value, buckets, total in spread.rows():
                histogram.add_metric([value], buckets, total)
            yield histogram
        for name, text, by, values in _pictured(self._view()):
            gauge = GaugeMetricFamily(name, text, labels=by)
            for key, number in values.items():
                gauge.add_metric(key, number)
            yield gauge

    def _counters(self) -> Iterator[Family]:
        text = "Requests that ended; status 499: the client left."
        yield "tropa_http_requests", text, ["method", "route", "status"], self._requests
        text = "Answers that did not get to their end, as the client left, or as the server stopped."
        yield "tropa_http_answers_cut", text, ["route"], self._cut
        for kind, text in _TOKENS.items():
            yield f"tropa_{kind}_tokens", text, ["model"], self._tokens[kind]
        for kind, busy in self._busy.items():
            seconds: dict[tuple[str, ...], float] = {key: spent / SECOND for key, spent in busy.items()}
            yield f"tropa_{kind}_seconds", f"Time of runners in {kind}.", ["model"], seconds
        loads = self._by_model(self._chronicle.loads)
        yield "tropa_loads", "Loads that ended, by their outcome.", ["model", "outcome"], loads
        unloads = self._by_model(self._chronicle.unloads)
        yield "tropa_unloads", "Runners that served and ended, by reason.", ["model", "reason"], unloads
        refused = self._chronicle.refusals
        refusals: dict[tuple[str, ...], float] = {(why.value,): refused[why] for why in Refusal}
        yield "tropa_refused_requests", "Requests that got no slot, by reason.", ["reason"], refusals

    def _spreads(self) -> Iterable[tuple[str, str, str, Spread]]:
        return (
            (
                *("tropa_http_request_duration_seconds", "First byte of the request to last of the answer."),
                *("route", self._durations),
            ),
            (
                *("tropa_request_queue_seconds", "Waiting for a slot, without the load of its model."),
                *("model", self._queue),
            ),
            ("tropa_request_load_seconds", "Waiting for its model to load.", "model", self._load),
            (
                "tropa_request_first_token_seconds",
                "To the first piece of a streamed answer.",
                "model",
                self._first,
            ),
            ("tropa_model_load_seconds", "Loads that succeeded.", "model", self._chronicle.load_times),
        )

    def _by_model(self, counts: Mapping[tuple[str, str], int]) -> Counter[tuple[str, ...]]:
        found: Counter[tuple[str, ...]] = Counter()
        for (model, what), count in counts.items():
            found[self._told_apart(model), what] += count
        return found

    def _told_apart(self, model: str) -> str:
        if model not in self._models:
            if len(self._models) >= MOST_LABELS:
                return OTHER
            self._models.add(model)
        return model

    def _registered(self) -> CollectorRegistry:
        if self._registry is None:
            from prometheus_client import CollectorRegistry, ProcessCollector

            self._registry = CollectorRegistry()
            ProcessCollector(registry=self._registry)
            self._registry.register(self)
        return self._registry


Family = tuple[str, str, list[str], Mapping[tuple[str, ...], float]]


def _pictured(view: View) -> Iterator[Family]:
    """Gauges of the herd. A model that has two runners for a moment (one drains) is added up."""
    yield "tropa_queue_requests", "Requests that wait for a slot.", [], {(): sum(view.waiting.values())}
    yield "tropa_queue_models", "Models that wait to be loaded.", [], {(): len(view.line)}
    states: Counter[tuple[str, ...]] = Counter({(state.value,): 0 for state in RunnerState})
    states.update((each.state.value,) for each in view.runners)
    yield "tropa_runners", "Runners by state.", ["state"], dict(states)
    slots: Counter[tuple[str, ...]] = Counter()
    busy: Counter[tuple[str, ...]] = Counter()
    waiting: Counter[tuple[str, ...]] = Counter()
    context: Counter[tuple[str, ...]] = Counter()
    memory: Counter[tuple[str, ...]] = Counter()
    for each in view.runners:
        slots[each.name,] += each.slots
        busy[each.name,] += each.busy
        waiting[each.name,] += each.waiting
        context[each.name,] += each.context * each.slots
        for device, size in each.bytes.items():
            memory[each.name, device] += size
    text = "Requests that the model's runners can work on at once."
    yield "tropa_runner_slots", text, ["model"], dict(slots)
    yield "tropa_runner_slots_busy", "Requests that they work on.", ["model"], dict(busy)
    yield "tropa_runner_waiting", "Requests that wait for one of these slots.", ["model"], dict(waiting)
    yield "tropa_runner_context_tokens", "What all slots together can hold.", ["model"], dict(context)
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

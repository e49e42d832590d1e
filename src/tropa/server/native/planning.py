"""`POST /api/plan`: what would happen if a model were asked for now, from the very code that decides."""

from __future__ import annotations

from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.scheduler.actions import Placement
from tropa.scheduler.plan import Plan
from tropa.server.native.inference import client_of
from tropa.server.requests import decode
from tropa.server.respond import read_body, send_json
from tropa.service.errors import InvalidRequest
from tropa.service.service import Service


async def plan(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Nothing is loaded or unloaded by asking."""
    fields = decode("PlanRequest", await read_body(receive))
    if not fields.get("model", "").strip():
        raise InvalidRequest("model is required")
    parallel = fields.get("num_parallel")
    if parallel is not None and not 1 <= parallel <= 1024:
        raise InvalidRequest(f'"num_parallel" is {parallel}: allowed are 1 to 1024')
    found, at = service.plan(fields["model"], client_of(scope), fields.get("options", {}), parallel)
    await send_json(send, {"model": fields["model"], **_answer(found, at)})


def _answer(plan: Plan, at: float) -> dict[str, Any]:
    answer: dict[str, Any] = {"outcome": plan.outcome.value, "why": plan.why}
    if plan.placement:
        answer["placement"] = _placement(plan.placement)
    if plan.leaving:
        answer["leaving"] = [{"name": each.name, "condition": each.condition} for each in plan.leaving]
    if plan.earliest is not None:
        answer["earliest_seconds"] = max(0.0, round(plan.earliest - at, 3))
    if plan.ahead:
        answer["models_ahead"] = plan.ahead
    return answer


def _placement(placement: Placement) -> dict[str, Any]:
    return {
        "context_length": placement.context,
        "slots": placement.slots,
        "batch": placement.batch,
        "gpu_layers": placement.gpu_layers,
        "gpus": placement.gpus,
        "memory": dict(placement.promised),
        "size": sum(placement.promised.values()),
    }

"""Which path of this dialect leads where."""

from __future__ import annotations

from functools import partial

from starlette.types import Receive, Scope, Send

from tropa.server import anthropic
from tropa.server.anthropic.errors import ANTHROPIC
from tropa.server.dialect import Endpoint, Handler, answer
from tropa.server.native import reranking
from tropa.server.openai import chat, completions, embeddings, models, transcriptions
from tropa.server.openai.errors import OPENAI
from tropa.server.openai.responses import handler as responses
from tropa.service.service import Service


def routes(service: Service) -> list[tuple[str, str, Endpoint]]:
    """Method, path, endpoint."""

    def serving(handler: Handler) -> Endpoint:
        return partial(answer, handler, OPENAI, service)

    def listing(handler: Handler) -> Endpoint:
        """Both dialects have these paths: errors are told in that of the asker."""
        library = service.models.library

        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            dialect = ANTHROPIC if anthropic.asks(scope) else OPENAI
            await answer(handler, dialect, library, scope, receive, send)

        return endpoint

    return [
        ("POST", "/v1/chat/completions", serving(chat.completions)),
        ("POST", "/v1/completions", serving(completions.completions)),
        ("POST", "/v1/embeddings", serving(embeddings.embeddings)),
        ("POST", transcriptions.PATH, serving(transcriptions.transcriptions)),
        ("POST", "/v1/rerank", serving(reranking.hosted)),
        ("POST", "/v1/responses", serving(responses.responses)),
        ("POST", "/v1/responses/input_tokens", serving(responses.input_tokens)),
        ("GET", "/v1/responses/{response}", serving(responses.kept)),
        ("DELETE", "/v1/responses/{response}", serving(responses.kept)),
        ("GET", "/v1/models", listing(models.models)),
        ("GET", "/v1/models/{model:path}", listing(models.model)),
    ]

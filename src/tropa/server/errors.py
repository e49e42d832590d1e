"""Errors meet their status codes here. One table; a test walks the whole family and finds each class in it."""

from __future__ import annotations

from tropa.devices.budget import BadBudget
from tropa.engines.candidates import EngineNotFound
from tropa.errors import TropaError
from tropa.gguf.errors import InvalidGGUF
from tropa.library.carry.errors import CarryError
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.digest import InvalidDigest
from tropa.library.errors import (
    BlobNotFound,
    CloudDisabled,
    DamagedModel,
    DigestMismatch,
    InvalidManifest,
    InvalidRecipe,
    ModelNotFound,
    StoreUnusable,
    UnsupportedArchitecture,
)
from tropa.library.modelfile.syntax import InvalidModelfile
from tropa.library.name import InvalidName
from tropa.quantize.errors import CannotQuantize, QuantizerFailed, UnknownQuantization
from tropa.registry.errors import RegistryError
from tropa.runners.choice import NoEngine
from tropa.runners.errors import ContextExceeded, EngineRefused, LoadFailed, RunnerDied
from tropa.runners.herd import Refused
from tropa.runners.rundir import RunDirUnusable
from tropa.scheduler.actions import Refusal
from tropa.schema.errors import BadSchema
from tropa.server.access import BadOrigin
from tropa.server.body import BadRequest
from tropa.server.intake import TooLarge, TooMuch, TooSlow
from tropa.server.keys import OpenToAll, Unauthorized
from tropa.server.listener import CannotListen
from tropa.server.openai.responses.errors import ResponseNotFound
from tropa.service.embed import BadEmbedding
from tropa.service.errors import BadFormat, BadOption, InvalidRequest, NoEmbeddings, NotCapable
from tropa.settings import BadSettings
from tropa.templates.errors import TemplateError, TemplateSyntaxError

STATUS: dict[type[TropaError], int] = {
    BadRequest: 400,
    InvalidRequest: 400,
    NoEmbeddings: 501,
    NotCapable: 400,
    InvalidName: 400,
    InvalidDigest: 400,
    InvalidRecipe: 400,
    InvalidModelFolder: 400,
    InvalidModelfile: 400,
    TemplateSyntaxError: 400,
    UnsupportedArchitecture: 400,
    UnknownQuantization: 400,
    CannotQuantize: 400,
    QuantizerFailed: 500,
    DigestMismatch: 400,
    ContextExceeded: 400,
    Unauthorized: 401,
    TooSlow: 408,
    TooLarge: 413,
    TooMuch: 503,
    CloudDisabled: 403,
    ModelNotFound: 404,
    BlobNotFound: 404,
    ResponseNotFound: 404,
    BadOption: 500,
    BadFormat: 500,
    BadSchema: 400,
    DamagedModel: 500,
    InvalidManifest: 500,
    InvalidGGUF: 400,
    StoreUnusable: 500,
    TemplateError: 500,
    LoadFailed: 500,
    RunnerDied: 500,
    EngineRefused: 500,  # replaced by the engine's own status when it blames the request
    BadEmbedding: 400,
    NoEngine: 500,
    Refused: 500,  # see REFUSED
    RegistryError: 500,  # as the reference has it: whose fault it was is in the text
    CarryError: 500,  # export and import have no route: these are told at a terminal
    BadSettings: 500,  # these end the program at its start and never reach a client
    OpenToAll: 500,
    BadOrigin: 500,
    CannotListen: 500,
    RunDirUnusable: 500,
    BadBudget: 500,
    EngineNotFound: 500,
}

REFUSED: dict[Refusal, int] = {
    Refusal.QUEUE_FULL: 503,
    Refusal.SHUTDOWN: 503,
    Refusal.TOO_BIG: 500,
    Refusal.BAD_OPTION: 400,
    Refusal.LOAD_FAILED: 500,
    Refusal.OUT_OF_MEMORY: 500,
    Refusal.CRASHED: 500,
}


def status_of(error: TropaError) -> int:
    """The HTTP status that tells a client whose fault `error` is."""
    if isinstance(error, Refused):
        return REFUSED[error.refusal]
    if isinstance(error, EngineRefused) and (400 <= error.status < 500 or error.status == 501):
        return error.status
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def text_of(error: TropaError, *, begun: bool = False) -> str:
    """What the client reads; `begun`: after it has had part of its answer."""
    if isinstance(error, RunnerDied) and begun:
        return f"an error was encountered while running the model: {error}"
    if isinstance(error, RunnerDied):
        return (
            "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
            f"check tropa server logs for details: {error}"
        )
    return f"{error} ({error.hint})" if error.hint else str(error)

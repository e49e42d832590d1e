"""From a name that a client wrote to a model that can be run."""

from __future__ import annotations

from collections.abc import Mapping

from tropa.library.errors import DamagedModel
from tropa.library.library import Library
from tropa.library.model import Model
from tropa.runners.demand import demand_of
from tropa.runners.loadable import Loadable
from tropa.service import templating
from tropa.service.options import USUAL_CONTEXT, Options, parse
from tropa.settings import Settings


class Models:
    """The library, as the service needs it. What was read of a file is kept by those who read it."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self.library = library
        self._settings = settings
        self._loaded: dict[str, Model] = {}

    @property
    def go_template(self) -> bool | None:
        """Whether models are to use their Go template (True), or that of their GGUF; None: the better one."""
        return self._settings.go_template

    @property
    def usual_context(self) -> int:
        """Tokens that a request can count on if nobody says how many."""
        return self._settings.context_length or USUAL_CONTEXT

    def find(self, text: str) -> Model:
        """Raises what `Library.find` does."""
        return templating.able(self.library.find(text), self.go_template)

    def loadable(self, model: Model) -> Loadable:
        """The files and the needs of a model.

        Raises DamagedModel, UnsupportedArchitecture, and GGUF errors for a broken file.
        """
        if model.weights is None:
            raise DamagedModel(f"model '{model.name.short}' has no weights that can be run here")
        self.library.check_fit(model)
        demand = demand_of(
            model.weights.path,
            projectors=tuple(blob.path for blob in model.projectors),
            adapters=tuple(blob.path for blob in model.adapters),
            cache_type=self._settings.kv_cache_type,
            flash_attention=self._settings.flash_attention is not False,
        )
        self._loaded[model.name.short] = model
        return Loadable(
            name=model.name.short,
            demand=demand,
            weights=model.weights.path,
            projector=model.projectors[0].path if model.projectors else None,
            adapters=tuple(blob.path for blob in model.adapters),
        )

    def loaded(self, name: str) -> Model:
        """The model that a runner was loaded for, as it was then: it may have been removed since."""
        return self._loaded[name]

    @staticmethod
    def options(model: Model, asked: Mapping[str, object]) -> Options:
        """The model's parameters with the request's options over them."""
        return parse(model.params, asked)

"""What can go wrong between a model and a tar file."""

from __future__ import annotations

from tropa.errors import TropaError


class CarryError(TropaError):
    """An export or import that did not happen. Nothing of it can be seen."""

    code = "carry-failed"


class CannotExport(CarryError):
    """The file cannot be written, or the model is not what its manifest says."""

    code = "cannot-export"


class CannotImport(CarryError):
    """The file is no OCI image layout, is damaged, or holds something other than models."""

    code = "cannot-import"

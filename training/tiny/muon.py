"""Muon: momentum whose every step is made nearly orthogonal, so that no direction of a matrix is left behind.

torch has one too, but that computes in bfloat16, which many processors only emulate; at this size float32
costs no more.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

# The coefficients of Keller Jordan's quintic iteration: quick rather than exact.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonal(matrices: Tensor, rounds: int = 5) -> Tensor:
    """The nearest (roughly) orthogonal matrices to a stack (count, rows, columns)."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x.mT if tall else x


class Muon:
    """The optimizer for matrices inside the network. `rate` may be changed between steps.

    Steps have the size that AdamW's would have, so one rate suits both.
    """

    def __init__(
        self, matrices: Iterable[Tensor], rate: float, momentum: float = 0.95, decay: float = 0.05
    ) -> None:
        self.rate = rate
        self._momentum = momentum
        self._decay = decay
        # Matrices of one shape go through the iteration together.
        groups: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
        for matrix in matrices:
            groups[matrix.shape].append(matrix)
        self._groups = [(group, torch.zeros(len(group), *shape)) for shape, group in groups.items()]

    @torch.no_grad()
    def step(self) -> None:
        """Move every matrix against its gradient, and forget the gradients."""
        for group, mean in self._groups:
            gradient = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            mean.lerp_(gradient, 1 - self._momentum)
            update = orthogonal(gradient.lerp(mean, self._momentum))
            size = 0.2 * max(update.shape[-2:]) ** 0.5
            for matrix, change in zip(group, update, strict=True):
                matrix.mul_(1 - self.rate * self._decay)
                matrix.sub_(change, alpha=self.rate * size)
                matrix.grad = None

"""The network: a Llama in plain torch, small enough to train on two CPU cores.

Layout and rotation follow llama.cpp's ``llama`` architecture, so that exporting is a renaming of tensors:
rotary pairs are *neighbours* (2i, 2i+1), which is what GGUF files of this architecture hold.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network. Every row length is a multiple of 32, the block size of Q8_0."""

    vocab: int
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 512
    context: int = 4096
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Length of one head's vector: 64, a size for which every GPU backend has a fast attention kernel."""
        return self.width // self.heads


def rotary_table(shape: Shape, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (context, head_dim / 2)."""
    exponent = torch.arange(0, shape.head_dim, 2, device=device).float() / shape.head_dim
    angle = torch.outer(torch.arange(shape.context, device=device).float(), shape.rope_base**-exponent)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the neighbouring pairs of x (batch, heads, time, head_dim).

    The angles' cosines and sines are (batch, 1, time, head_dim / 2).
    """
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class RMSNorm(nn.Module):
    """Scale each vector to unit mean square, then by a learned gain."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to (..., width)."""
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Attention(nn.Module):
    """Causal self-attention in which several query heads share one key and value head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = nn.Linear(shape.width, shape.heads * shape.head_dim, bias=False)
        self.k = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.v = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.out = nn.Linear(shape.heads * shape.head_dim, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        batch, time, _ = x.shape
        s = self.shape
        q = rotate(self.q(x).view(batch, time, s.heads, s.head_dim).transpose(1, 2), cos, sin)
        k = rotate(self.k(x).view(batch, time, s.kv_heads, s.head_dim).transpose(1, 2), cos, sin)
        v = self.v(x).view(batch, time, s.kv_heads, s.head_dim).transpose(1, 2)
        # Repeating by hand rather than enable_gqa: the CPU's fast kernel takes equal head counts only.
        share = s.heads // s.kv_heads
        k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, time, s.width))
        return out


class FeedForward(nn.Module):
    """SwiGLU: one projection gates the other."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        out: Tensor = self.down(functional.silu(self.gate(x)) * self.up(x))
        return out


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind a norm and beside a residual path."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(shape.width, shape.norm_eps)
        self.attention = Attention(shape)
        self.feed_norm = RMSNorm(shape.width, shape.norm_eps)
        self.feed = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        out: Tensor = x + self.feed(self.feed_norm(x))
        return out


class Llama(nn.Module):
    """The whole network.

    Input and output share one embedding: at this size a second one would be a fifth of the file.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width, shape.norm_eps)
        cos, sin = rotary_table(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        # Small weights on the way out of each branch keep the residual stream level at the start.
        deep = 0.02 / (2 * self.shape.layers) ** 0.5
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=deep if name.endswith(("out.weight", "down.weight")) else 0.02)

    def features(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Token ids and positions, each (batch, time), to normed vectors (batch, time, width)."""
        x: Tensor = self.embed(tokens)
        cos, sin = self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)
        for block in self.blocks:
            x = block(x, cos, sin)
        out: Tensor = self.norm(x)
        return out

    def logits(self, features: Tensor) -> Tensor:
        """(..., width) to (..., vocab)."""
        return functional.linear(features, self.embed.weight)

    def parameter_count(self) -> int:
        """Numbers in the network, the shared embedding counted once."""
        return sum(weight.numel() for weight in self.parameters())

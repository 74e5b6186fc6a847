"""Rotates queries and keys by their positions, as the rotary embedding of a layer does, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError


@dataclass(frozen=True, eq=False)
class Rope:
    """Holds the rotary embedding of one attention layer; width 0 is that of a layer without positions.

    inv_freq [width/2] in radians per position: channel pair i of the first `width` channels is turned by position times
    inv_freq[i]; all other channels pass through. The pairs are (0, 1), (2, 3), ... if `interleaved`, else (i, i +
    width/2). `scaling` is the factor of cosine and sine (YaRN, LongRoPE).
    x is [..., N, D]; positions and `by`, integers, are broadcastable to [..., N]. Results have the dtype of x; angles
    are float32, as models compute them, and float64 for an x in float64. Source: Su et al., RoFormer, section 3.2.2.
    """

    inv_freq: Tensor
    interleaved: bool = False
    scaling: float = 1.0

    @classmethod
    def plain(cls, base: float, width: int) -> Rope:
        """Return the embedding of the first `width` channels with inv_freq[i] = base^(-2i/width), halves paired."""
        return cls(base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width))

    @property
    def width(self) -> int:
        """Count the channels that are rotated."""
        return 2 * len(self.inv_freq)

    def to(self, device: torch.device | str) -> Rope:
        """Return the same embedding with its frequencies on a device."""
        return Rope(self.inv_freq.to(device), self.interleaved, self.scaling)

    def rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        """Return x as the model holds it at these positions, `scaling` included."""
        return self._turned(x, positions, self.scaling)

    def unrotate(self, x: Tensor, positions: Tensor) -> Tensor:
        """Return what `rotate` made x of: the exact inverse, `scaling` included."""
        return self._turned(x, -positions, 1 / self.scaling)

    def turn(self, x: Tensor, by: Tensor) -> Tensor:
        """Return an x that is rotated already, moved by so many positions (negative: towards the start)."""
        return self._turned(x, by, 1.0)

    def rotate_on_average(self, x: Tensor, positions: Tensor) -> Tensor:
        """Return the mean of what `rotate` makes of x at positions [..., M], which are broadcastable to [..., N, M]."""
        cos, sin = self._waves(x, positions)
        return self._mixed(x, cos.mean(-2) * self.scaling, sin.mean(-2) * self.scaling)

    def _turned(self, x: Tensor, by: Tensor, factor: float) -> Tensor:
        """Turn the pairs of x by so many positions and multiply them by the factor."""
        cos, sin = self._waves(x, by)
        return self._mixed(x, cos * factor, sin * factor)

    def _waves(self, x: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of the angle of every pair in the precision of x: [..., width/2] for by [...]."""
        precision = torch.promote_types(x.dtype, torch.float32)
        angles = by.to(x.device, precision)[..., None] * self.inv_freq.to(x.device, precision)
        return angles.cos(), angles.sin()

    def _mixed(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Multiply each pair, as a complex number, by cos + i sin."""
        if self.width > x.shape[-1]:
            raise InputError(f"a rotary embedding of {self.width} channels needs as many, x has {x.shape[-1]}")
        if not self.width:
            return x
        rotated, rest = x[..., : self.width], x[..., self.width :]
        a, b = self._pairs(rotated.to(cos.dtype))
        turned = self._joined((a * cos).addcmul_(b, sin, value=-1), (b * cos).addcmul_(a, sin)).to(x.dtype)
        return torch.cat((turned, rest), -1) if rest.shape[-1] else turned

    def _pairs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and the second channels of all pairs."""
        if self.interleaved:
            return x[..., ::2], x[..., 1::2]
        return x[..., : self.width // 2], x[..., self.width // 2 :]

    def _joined(self, a: Tensor, b: Tensor) -> Tensor:
        """Put the channels of the pairs back in their places."""
        return torch.stack((a, b), -1).flatten(-2) if self.interleaved else torch.cat((a, b), -1)

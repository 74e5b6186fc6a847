"""The same decode step by harness.methods in float64, as an independent reference."""

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from harness import methods
from harness.attention import LayerPrefix, Step
from harness.attention.scores import Scores
from harness.kernels import KVCache, append, find_binding
from support import steps

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass
class Inputs:
    """q [B, H, G, D], k and v [B, H, N, D], and where each row's padding ends."""

    q: Tensor
    k: Tensor
    v: Tensor
    padding: Tensor

    @classmethod
    def random(cls, b=2, h=2, g=1, n=150, d=64, dtype=torch.float32, padding=37, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator).to(DEVICE, dtype)

        start = torch.tensor([0, padding, *[0] * b][:b], device=DEVICE)
        return cls(normal(b, h, g, d), normal(b, h, n, d), normal(b, h, n, d), start)

    def cache(self, transposed=True) -> KVCache:
        """Filled as in use: a prompt, then one appended token; whatever lies outside the live tokens is hostile."""
        c = KVCache.of(self.k[:, :, :-1], self.v[:, :, :-1], self.padding, decode_steps=40, transposed=transposed)
        append(c, self.k[:, :, -1], self.v[:, :, -1])
        columns = torch.arange(c.capacity, device=DEVICE)
        dead = (columns < self.padding[:, None]) | (columns >= self.k.shape[2])
        c.k.masked_fill_(dead[:, None, :, None], torch.nan)
        c.v.masked_fill_(dead[:, None, :, None], torch.nan)
        if c.kt is not None:
            c.kt.masked_fill_(dead[:, None, None], torch.nan)
        return c

    def expected(self, name: str, statistics=None, scale=None, **knobs) -> Tensor:
        """The method's output in float64."""
        q, k, v = self.q.double(), self.k.double(), self.v.double()
        n = k.shape[2]
        mask = (torch.arange(n, device=DEVICE) >= self.padding[:, None])[:, None]
        method = methods.create(name, **knobs)
        prefix = LayerPrefix(k[:, :, :-1], v[:, :, :-1], mask[..., :-1], decode_steps=1, statistics=statistics or {})
        scores = Scores(q.shape[3] ** -0.5 if scale is None else scale)
        return method.attend(Step(q, k, v, mask, scores), method.start(prefix))


def error(got: Tensor, expected: Tensor) -> float:
    """Relative error in the 2-norm."""
    return float((got.double() - expected).norm() / expected.norm())


def normal(*shape, seed=0, dtype=torch.float32) -> Tensor:
    """Random numbers, the same on every device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def both(name, knobs, case, window=None):
    """Yield (torch's output, the kernels' output) of each step of a random case."""
    for tensor in "qkv":
        setattr(case, tensor, getattr(case, tensor).to(DEVICE))
    case.mask = case.mask.to(DEVICE)
    plain = methods.create(name, **knobs)
    fast = find_binding(plain)
    said = {name: getattr(plain, name) for name in ("observes", "needs", "reads_inputs")}
    starts = SimpleNamespace(**said, start=fast.start)  # its own state alone
    for (step, state), (_, own) in zip(
        steps(case, plain, None, window), steps(case, starts, None, window), strict=True
    ):
        yield plain.attend(step, state), fast.attend(step, own)

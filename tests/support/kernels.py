"""The same decode step by harness.methods in float64, as an independent reference."""

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from harness import methods
from harness.attention import LayerPrefix, Step
from harness.attention.scores import Scores
from harness.kernels import KVCache, append, find_binding
from support import place_of, steps

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

    @property
    def mask(self) -> Tensor:
        """Which columns are no padding, [B, 1, N]."""
        return (torch.arange(self.k.shape[2], device=DEVICE) >= self.padding[:, None])[:, None]

    def prefix(self, dtype=torch.float64, prompt=-1, **more) -> LayerPrefix:
        """The first `prompt` tokens, or all but the newest, as a prompt."""
        k, v = (tensor.to(dtype)[:, :, :prompt] for tensor in (self.k, self.v))
        return LayerPrefix(k, v, self.mask[..., :prompt], decode_steps=self.k.shape[2] - k.shape[2], **more)

    def expected(self, name: str, statistics=None, scale=None, rope=None, dtype=torch.float64, **knobs) -> Tensor:
        """The method's output in float64, from a prompt of another type where its rounding matters."""
        q, k, v = self.q.double(), self.k.double(), self.v.double()
        method = methods.create(name, **knobs)
        state = method.start(self.prefix(dtype, statistics=statistics or {}, rope=rope))
        scores = Scores(q.shape[3] ** -0.5 if scale is None else scale)
        return method.attend(Step(q, k, v, self.mask, scores), state)

    def by_kernel(self, name: str, longest: int | None = None, **knobs) -> Tensor:
        """The output of the kernel that the method is bound to."""
        cache = self.cache(transposed=False)
        cache.longest = longest or cache.longest
        kernel = find_binding(methods.create(name, **knobs)).for_layer(self.prefix(self.k.dtype))
        return kernel(self.q, cache, scale=self.q.shape[3] ** -0.5)


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
    place = place_of(plain, case, 0, None, window)
    said = {name: getattr(plain, name) for name in ("observes", "needs", "reads_inputs")}
    starts = SimpleNamespace(**said, start=fast.start)  # its own state alone
    for (step, state), (_, own) in zip(
        steps(case, plain, None, window, place=place), steps(case, starts, None, window, place=place), strict=True
    ):
        yield plain.attend(step, state), fast.attend(step, own)

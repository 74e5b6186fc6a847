"""Compares the kernels with the methods' definitions in float64 on a GPU: the first part of `gpu_check.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness import kernels, methods
from harness.attention import LayerPrefix, Step
from harness.attention.scores import Scores
from harness.bench.cases import prompt_of
from harness.bench.check import prompt_type
from harness.kernels import KVCache
from harness.kernels.binding import bindings, find_bind

DEVICE = "cuda"
LIMIT = {torch.float16: 5e-3, torch.bfloat16: 3e-2}
QUERIES = {"random": 1.0, "peaked": 8.0, "huge": 1000.0, "zero": 0.0}
# (B, H, G, N, D); between them they take every way in which a launch can be cut up
SHAPES = {
    (4, 4, 1, 4000, 128): torch.float16,
    (4, 2, 4, 8000, 128): torch.bfloat16,
    (1, 2, 1, 20000, 64): torch.float16,
    (2, 2, 2, 1500, 80): torch.float16,
    (1, 1, 8, 3000, 256): torch.float16,
    (70, 4, 1, 5000, 128): torch.float16,
    (70, 16, 1, 1500, 96): torch.float16,
    (20, 8, 4, 2000, 128): torch.float16,
}
KNOBS = {"r": 20, "k": 128, "token_budget": 256, "bits": 4, "group_size": 16, "residual_length": 16}
# Decode steps of every method, for some must carry their state over several; so many tokens tie exactly
STEPS = {
    (4, 4, 1, 3000, 128): (torch.float16, 50),
    (2, 4, 4, 3000, 128): (torch.bfloat16, 50),
    (1, 1, 2, 300, 80): (torch.float16, 0),
    (1, 2, 1, 20000, 64): (torch.float16, 0),
}
# Kept tokens that no program holds at once
LONG = (1, 8, 4, 32768, 128)
LARGE: dict[str, dict[str, int]] = {
    "sparq": {"r": 32, "k": 4096},
    "h2o": {"k": 4096},
    "lm_infinite": {"k": 4096},
    "flexgen": {"k": 4096},
    "oracle_topk": {"k": 4096},
    "quest": {"token_budget": 4096},
    "loki": {"r": 32, "k": 4096},
    "double_sparsity": {"r": 32, "k": 4096},
    "shadow_kv": {"k": 4096},
}


class Check(NamedTuple):
    """Holds one line of the check: what was measured, and what it has to be, '<' or '>=' the bar."""

    name: str
    value: float
    relation: str
    bar: float

    @property
    def holds(self) -> bool:
        """Return True if the value is what it has to be; NaN is not."""
        return self.value < self.bar if self.relation == "<" else self.value >= self.bar


def correctness(names: Sequence[str] | None = None) -> Iterator[Check]:
    """Yield relative errors against float64 of these methods, or of all that a kernel serves."""
    every = served()
    for name in names or every:
        if name == "sparq":
            yield from _fresh_inputs()
        for shape, (dtype, equal) in STEPS.items():
            yield _checked(name, every[name], shape, dtype, equal, 6)
        if name in LARGE:
            yield _checked(name, methods.create(name, **LARGE[name]), LONG, torch.bfloat16, 50, 3)


def _fresh_inputs() -> Iterator[Check]:
    """Yield SparQ's errors on queries of every kind."""
    for (b, h, g, n, d), dtype in SHAPES.items():
        worst = max(_error(b, h, g, n, d, dtype, size) for size in QUERIES.values())
        yield Check(f"sparq {dtype}, [{b}, {h}, {g}, {d}] over {n} tokens, relative error", worst, "<", LIMIT[dtype])


def _checked(
    name: str, method: methods.Method[Any], shape: tuple[int, ...], dtype: torch.dtype, equal: int, steps: int
) -> Check:
    """Compare decode steps of a method over [B, H, G, N, D], some tokens of which tie exactly."""
    b, h, g, n, d = shape
    worst = _worst_step(method, _comparable(b, h, g, n, d, dtype, equal), steps)
    kept = f", {LARGE[name]}" if shape == LONG else ""
    what = f"{name} {dtype}, [{b}, {h}, {g}, {d}] over {n} tokens, {equal} of them equal{kept}, {steps} steps"
    return Check(f"{what}, relative error", worst, "<", LIMIT[dtype])


def served() -> dict[str, methods.Method[Any]]:
    """Map the name of every method that a kernel is declared for to one with the knobs above that it has."""
    names = [name for name in methods.names() if find_bind(methods.find(name))]
    assert {find_bind(methods.find(name)) for name in names} == set(bindings().values())
    knobs = {name: {k: v for k, v in KNOBS.items() if k in methods.knobs(methods.find(name))} for name in names}
    return {name: methods.create(name, **knobs[name]) for name in names}


def _comparable(b: int, h: int, g: int, n: int, d: int, dtype: torch.dtype, equal: int) -> Step:
    """Draw a step until some head's channels do not tie: with none there would be nothing to compare."""
    while True:
        x = _inputs(b, h, g, n, d, dtype, 1.0, equal)
        if _channels_are_defined(x.q, KNOBS["r"]).any():
            return x


def _worst_step(method: methods.Method[Any], x: Step, steps: int) -> float:
    """Return the largest relative error of some decode steps as the engine takes them, against float64.

    A method that holds a cache of its own is compared in the type of that cache, which its scales are rounded to.
    """
    fast = kernels.find_binding(method)
    assert fast is not None, method
    double = x if method.owns_cache else Step(x.q.double(), x.k.double(), x.v.double(), x.mask, x.scores)
    s = x.length - steps
    state = fast.start(prompt_of(method, x, steps))
    same = prompt_type(method, x.k.dtype) == x.k.dtype
    expected_state = method.start(prompt_of(method, x if same else double, steps))
    r = methods.settings(method).get("r")
    defined = torch.ones(x.q.shape[:2], dtype=torch.bool) if r is None else _channels_are_defined(x.q, r)
    pairs = (
        (fast.attend(_until(x, n), state), method.attend(_until(double, n), expected_state))
        for n in range(s + 1, x.length + 1)
    )
    return max(_distance(got[defined], expected[defined]) for got, expected in pairs)


def _until(x: Step, n: int) -> Step:
    """Return the step at n cached tokens; queries differ from step to step."""
    return Step(x.q.roll(n, 3), x.k[:, :, :n], x.v[:, :, :n], x.mask[..., :n], x.scores)


def _error(b: int, h: int, g: int, n: int, d: int, dtype: torch.dtype, size: float) -> float:
    r = d // 4
    x = _inputs(b, h, g, n, d, dtype, size)
    defined = _channels_are_defined(x.q, r)
    expected = _double(methods.create("sparq", r=r, k=128), x)[defined]
    stored = _cache(x)
    once = stored.stored_once()
    return max(_distance(kernels.sparq(x.q, cache, r=r, k=128)[defined], expected) for cache in (stored, once))


def _channels_are_defined(q: Tensor, r: int) -> Tensor:
    """Return [B, H] bool, False where the r-th and the next channel tie exactly: SparQ does not say which to take.

    Short floats of a head tie that way every so often. A query of zeros is defined: all choices give the same logits.
    """
    size = q.double().abs().sum(2).sort(-1, descending=True).values
    return (size[..., r - 1] > size[..., r]) | (size[..., 0] == 0)


def _inputs(b: int, h: int, g: int, n: int, d: int, dtype: torch.dtype, size: float, equal: int = 50) -> Step:
    """Make a step whose rows are padded on the left by 0 to 400 columns, with `equal` tokens that tie exactly."""
    k, v = torch.randn(2, b, h, n, d, dtype=dtype, device=DEVICE)
    k[:, :, n // 2 : n // 2 + equal] = k[:, :, n // 2 : n // 2 + 1]
    q = torch.randn(b, h, g, d, dtype=dtype, device=DEVICE) * size
    mask = torch.arange(n, device=DEVICE) >= 100 * torch.arange(b, device=DEVICE)[:, None] % 500
    return Step(q.clamp(-6e4, 6e4), k, v, mask[:, None], Scores(d**-0.5))


def _cache(x: Step) -> KVCache:
    """Return the step's cache, its newest token appended by the kernel."""
    cache = KVCache.of(x.k[:, :, :-1], x.v[:, :, :-1], (~x.mask[:, 0]).sum(-1), decode_steps=1)
    kernels.append(cache, x.k[:, :, -1], x.v[:, :, -1])
    return cache


def _double(method: methods.Method[object], x: Step) -> Tensor:
    """Return the method's own output in float64."""
    k, v = x.k.double(), x.v.double()
    prefix = LayerPrefix(k[:, :, :-1], v[:, :, :-1], x.mask[..., :-1], decode_steps=1)
    return method.attend(Step(x.q.double(), k, v, x.mask, x.scores), method.start(prefix))


def _distance(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).norm() / expected.norm())

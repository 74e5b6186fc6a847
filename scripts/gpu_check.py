"""`make gpu-check`: checks that the kernels are right on this machine's GPU, and as fast as the bars say.

Every method that a kernel serves is checked. Prints a line per check and exits with 1 if one is missed, with 2 without
a GPU. The bars are for one H200: speed-up over the fastest SDPA backend of the same run; float16, D 128, r 32, k 128,
mean V given.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from harness import kernels, methods
from harness.attention import LayerPrefix, Step
from harness.attention.scores import Scores
from harness.bench.attention import bench_attention
from harness.bench.cases import prompt_of
from harness.errors import InputError
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
KNOBS = {"r": 20, "k": 128, "bits": 4}
# Decode steps of every method, for some must carry their state over several
STEPS = {
    (4, 4, 1, 3000, 128): torch.float16,
    (2, 4, 4, 3000, 128): torch.bfloat16,
    (1, 1, 2, 300, 80): torch.float16,
    (1, 2, 1, 20000, 64): torch.float16,
}
# (batch, S, KV heads, copies of K): bar
BARS = {
    (64, 4096, 32, 2): 5.0,
    (64, 2048, 32, 2): 4.2,
    (64, 8192, 32, 2): 5.6,
    (16, 4096, 32, 2): 4.0,
    (1, 16384, 32, 2): 2.0,
    (1, 65536, 32, 2): 4.0,
    (1, 131072, 32, 2): 5.0,
    (64, 8192, 8, 2): 4.0,
    (64, 4096, 32, 1): 1.0,
}


def main() -> int:
    """Run both parts; returns 0 if everything holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="a folder for the tables of times")
    parser.add_argument("--commit", help="what to note as the commit where there is no git")
    given = parser.parse_args()
    try:
        kernels.require(DEVICE)
    except InputError as error:
        print(f"error: {error}")
        return 2
    checks = itertools.chain(_correctness(), _bars(given.out, given.commit))
    held = [_report(name, value, relation, bar) for name, value, relation, bar in checks]
    print(f"{sum(held)} of {len(held)} hold")
    return 0 if all(held) else 1


def _report(name: str, value: float, relation: str, bar: float) -> bool:
    holds = value < bar if relation == "<" else value >= bar
    print(f"{'ok    ' if holds else 'MISSED'} {name}: {value:.3g} ({relation} {bar:g})", flush=True)
    return holds


def _correctness() -> Iterator[tuple[str, float, str, float]]:
    """Yield relative errors against float64: SparQ's on fresh inputs of every kind, and steps of every method."""
    for (b, h, g, n, d), dtype in SHAPES.items():
        worst = max(_error(b, h, g, n, d, dtype, size) for size in QUERIES.values())
        yield f"sparq {dtype}, [{b}, {h}, {g}, {d}] over {n} tokens, relative error", worst, "<", LIMIT[dtype]
    for (name, method), (shape, dtype), equal in itertools.product(_served(), STEPS.items(), (0, 50)):
        b, h, g, n, d = shape
        worst = _worst_step(method, _comparable(b, h, g, n, d, dtype, equal))
        what = f"{name} {dtype}, [{b}, {h}, {g}, {d}] over {n} tokens, {equal} of them equal, steps"
        yield f"{what}, relative error", worst, "<", LIMIT[dtype]


def _served() -> list[tuple[str, methods.Method[Any]]]:
    """Return every method that a kernel is declared for, each with the knobs above that it has."""
    names = [name for name in methods.names() if find_bind(methods.find(name))]
    assert {find_bind(methods.find(name)) for name in names} == set(bindings().values())
    knobs = {name: {k: v for k, v in KNOBS.items() if k in methods.knobs(methods.find(name))} for name in names}
    return [(name, methods.create(name, **knobs[name])) for name in names]


def _comparable(b: int, h: int, g: int, n: int, d: int, dtype: torch.dtype, equal: int) -> Step:
    """Draw a step until some head's channels do not tie: with none there would be nothing to compare."""
    while True:
        x = _inputs(b, h, g, n, d, dtype, 1.0, equal)
        if _channels_are_defined(x.q, KNOBS["r"]).any():
            return x


def _worst_step(method: methods.Method[Any], x: Step, steps: int = 6) -> float:
    """Return the largest relative error of some decode steps as the engine takes them, against float64.

    A method that holds a cache of its own is compared in the type of that cache, which its scales are rounded to.
    """
    fast = kernels.find_binding(method)
    assert fast is not None, method
    double = x if method.owns_cache else Step(x.q.double(), x.k.double(), x.v.double(), x.mask, x.scores)
    s = x.length - steps
    state = fast.start(prompt_of(method, x, steps))
    expected_state = method.start(prompt_of(method, double, steps))
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


def _bars(out: Path | None, commit: str | None) -> Iterator[tuple[str, float, str, float]]:
    tables = []
    for (batch, s, kv_heads, copies), bar in BARS.items():
        tables.append(
            bench_attention(s=[s], batch=[batch], k_stored=[copies], kv_heads=kv_heads, kernel="triton", commit=commit)
        )
        torch.cuda.empty_cache()
        (speedup,) = tables[-1].query("method == 'sparq'")["speedup"]
        name = f"sparq, batch {batch}, S {s}, 32/{kv_heads} heads, K stored {copies}x, speed-up over the best dense"
        yield name, speedup, ">=", bar
    if out:
        out.mkdir(parents=True, exist_ok=True)
        pd.concat(tables).to_csv(out / "attention_bars.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    sys.exit(main())

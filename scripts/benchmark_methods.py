"""Measures what a decode step of every method costs beside dense attention: `python scripts/benchmark_methods.py`.

A line for each method, length and ratio of bytes: milliseconds of one layer's step, their ratio to dense attention's in
torch (taken in turns, from a cold cache; means, for some methods choose anew every tenth step only), the ratio of bytes
by the method's own count or meter, the time over that of the method `--against` at the same ratio, the relative error
of the output against dense's, and the milliseconds of `start`, once per prompt and layer. Keys and values are random,
logits have a standard deviation of 3, the rows of a batch are alike, and what learns beforehand learns from them. One
thread's own time is taken, so that a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

import torch
from random_prompts import SHAPES, Prompt
from torch import Tensor

from harness import methods
from harness.attention import Step
from harness.errors import InputError
from harness.methods import Budget, Method
from harness.methods.cost import LayerAt, dense_cost

WARM = 2
"""Steps that are not counted."""


@dataclass(frozen=True)
class Line:
    """Holds what was measured of one method: times in milliseconds per layer, ratios to dense, the output's error."""

    step: float
    start: float
    time_ratio: float
    bytes_ratio: float
    error: float


def measure(prompt: Prompt, method: Method[Any]) -> Line:
    """Time a method and dense attention in turns over the same steps, in one layer, or in all if they differ."""
    dense, shape = methods.create("dense"), prompt.shape
    acting = [layer for layer in range(shape.layers) if method.exemption.acts_in(layer, windowed=False)]
    layers = acting if method.layered else acting[-1:]
    shared: dict[Any, Any] = {}
    prefixes = [prompt.prefix(method, layer, shared) for layer in layers]
    cold = torch.ones(16 << 20)
    seconds, states = timed(cold, lambda: [method.start(prefix) for prefix in prefixes])
    own, other, errors = [], [], []
    for t in range(prompt.steps):
        attend = partial(attend_all, step=prompt.step(t))
        taken, expected = timed(cold, partial(attend, dense, [None for _ in layers]))
        other.append(taken / len(layers))
        taken, found = timed(cold, partial(attend, method, states))
        own.append(taken / len(layers))
        errors.append(max(float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True)))
    taken, share = fmean(own[WARM:]), moved_share(prompt, method, layers, states)
    return Line(1e3 * taken, 1e3 * seconds / len(layers), taken / fmean(other[WARM:]), share, errors[-1])


def attend_all(method: Method[Any], states: list[Any], step: Step) -> list[Tensor]:
    """Do a step in every layer of which there is a state."""
    return [method.attend(step, state) for state in states]


def timed(cold: Tensor, call: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
    """Return the thread's seconds of a call, after other memory has passed through the caches, and what it returned."""
    cold.neg_()
    begin = time.thread_time()
    found = call()
    return time.thread_time() - begin, found


def moved_share(prompt: Prompt, method: Method[Any], layers: list[int], states: list[Any]) -> float:
    """Return the share of dense's bytes that a step moved, by the method's count, or by its meter."""
    shape, n = prompt.shape, prompt.length + prompt.steps
    places = [LayerAt.of(shape.layer, n, layer, shape.layers) for layer in layers]
    dense = sum(dense_cost(at).moved for at in places)
    meters = [method.meter(state) for state in states]
    noted = [torch.stack(meter.steps[WARM:]) for meter in meters if meter is not None]
    bits = [float(of.double().mean()) / shape.layer.kv_heads for of in noted]
    return (sum(bits) if bits else sum(method.cost(at).moved for at in places)) / dense


def settings(name: str, prompt: Prompt, ratios: list[float]) -> Iterator[tuple[float | None, Method[Any] | str]]:
    """Give the method solved for each ratio, or why it cannot be; as it is, where no knob is open."""
    if not methods.open_knobs(name, {}):
        yield None, methods.create(name)
        return
    for ratio in ratios:
        try:
            layers = (prompt.shape.layer,) * prompt.shape.layers
            yield ratio, methods.solve(name, Budget(ratio, prompt.length, layers))
        except InputError as error:
            yield ratio, str(error)


def lines(prompt: Prompt, name: str, ratios: list[float], beside: dict[float | None, float]) -> Iterator[str]:
    """Measure a method at each ratio and write a line of it; `beside` has the milliseconds of a step to compare."""
    for ratio, method in settings(name, prompt, ratios):
        head = f"{name:<20} {'-' if ratio is None else f'{ratio:g}':>5}"
        if isinstance(method, str):
            yield f"{head}  skipped: {method}"
        else:
            found = measure(prompt, method)
            over = f"{found.step / beside[ratio]:6.2f}" if ratio in beside else f"{'-':>6}"
            yield (
                f"{head} {found.step:9.3f} {found.time_ratio:6.2f} {found.bytes_ratio:6.3f} {over} {found.error:8.1e}"
                f" {found.start:9.2f}  {knobs(methods.settings(method))}"
            )


def knobs(given: Mapping[str, Any]) -> str:
    """Write knobs in one word each."""
    return " ".join(f"{knob}={json.dumps(value)}" for knob, value in given.items())


def main() -> None:
    """Measure every method at every shape, length and ratio that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=methods.runnable(), help="all that can be run, if not given")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--lengths", nargs="*", type=int, default=[1500, 8000], help="prompt tokens")
    parser.add_argument("--ratios", nargs="*", type=float, default=[2.0, 4.0, 8.0])
    parser.add_argument("--steps", type=int, default=20, help="steps of a method that are timed")
    parser.add_argument("--against", default="sparq", help="a method whose time at the same ratio the others' is over")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.shapes:
        for length in given.lengths:
            prompt = Prompt(SHAPES[name], length, WARM + given.steps)
            solved = {ratio: m for ratio, m in settings(given.against, prompt, given.ratios) if not isinstance(m, str)}
            beside = {ratio: measure(prompt, method).step for ratio, method in solved.items()}
            print(f"\n{name} at {length} tokens, batch {prompt.shape.batch}, float32, one thread")
            print(f"{'method':<20} ratio   ms/step  /time /bytes /{given.against[:5]:<5}    error  ms/start  knobs")
            for method in given.methods:
                for line in lines(prompt, method, given.ratios, beside):
                    print(line, flush=True)


if __name__ == "__main__":
    main()

"""Checks what two GPUs are for: `python scripts/two_gpu_check.py [--parts 123]`, in less than five minutes.

1. A sweep in two shards by launcher=joblib, one on each GPU, against the same sweep on one: equal tables, and 1.85
   times as fast. Seconds are those of the batches, as the records of outputs hold them: all of the serial run, by
   what the slower shard did. Start-up (imports, tokenising, making weights) is apart; a run before has compiled the
   kernels. The model is a shape of 8 billion random weights with a small tokenizer made here, the task is squad on the
   embedded corpus (scripts/two_gpu_sweep.py).
2. Layers over both GPUs (model.device_map=auto) against all on one: equal tokens and likelihoods of a random shape
   under dense, sparq, h2o, lm_infinite and snapkv, generated and forced, in PyTorch and by kernels.
3. A shape of 70 billion random weights over both, in bfloat16, on prompts of 1,500 tokens, 16 new, dense and sparq: it
   runs, in less than 80 GB of each GPU. Prints seconds.

Part 1 needs the packages of `harness run` and joblib's launcher, as tried: hydra-core==1.3.8, omegaconf==2.3.1,
antlr4-python3-runtime==4.9.3 (a source package: `pip wheel` makes a pure wheel), hydra-joblib-launcher==1.2.0,
joblib==1.6.0, lm_eval==0.4.13, datasets==5.2.0, dill==0.4.1, multiprocess==0.70.19, rouge_score==0.1.2, nltk==3.10.4,
absl-py==2.5.1, pyarrow, pandas, scipy, rich, filelock; parts 2 and 3 need torch, transformers, Triton and accelerate.

Prints a line per check. Exit code 1 if one is missed, 2 without two GPUs.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from two_gpu_sweep import Check, shards

from harness import methods
from harness.engine import Engine, Output, Prompt
from harness.hf import Bridge, ModelSpec, find
from harness.hf.placement import find_devices
from harness.kernels import Kernel

CELLS: dict[str, dict[str, int]] = {"dense": {}, "sparq": {"r": 32, "k": 128}, "h2o": {"k": 256}}
CELLS |= {"lm_infinite": {"k": 256}, "snapkv": {"k": 256}}
KERNELS: tuple[Kernel, ...] = ("torch", "triton")
MOST_BYTES = 80e9
"""Of a GPU, in part 3."""


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="123")
    parser.add_argument("--limit", type=int, default=96, help="examples of the sweep in part 1")
    given = parser.parse_args()
    if torch.cuda.device_count() < 2:
        print("two GPUs are needed")
        return 2
    print(f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, torch {torch.__version__}", flush=True)
    parts: dict[str, Callable[[], Iterator[Check]]] = {"1": lambda: shards(given.limit), "2": spread, "3": large}
    held = []
    for part in given.parts:
        begin = time.perf_counter()
        for check in _checks(part, parts[part]):
            print(f"{'ok    ' if check.holds else 'MISSED'} {check.name}: {check.measured}", flush=True)
            held.append(check.holds)
        gc.collect()
        torch.cuda.empty_cache()
        print(f"part {part} took {time.perf_counter() - begin:.0f} s", flush=True)
    print(f"{sum(held)} of {len(held)} hold")
    return 0 if all(held) else 1


def _checks(name: str, part: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Yield the checks of a part; an error is one that was missed, and other parts go on."""
    try:
        yield from part()
    except RuntimeError as error:
        yield Check(f"part {name} runs to its end", False, str(error))


class Launched(Bridge):
    """Runs a model on one GPU as over several: no step is recorded, so that both feed forced tokens in equal passes."""

    replayable = False


def spread() -> Iterator[Check]:
    """Compare layers on both GPUs with all on one."""
    one, two = (_model("llama-3-8b", **where) for where in ({"device": "cuda:0"}, {"device_map": "auto"}))
    places = ", ".join(map(str, find_devices(two)))
    yield Check("layers lie on both GPUs", places == "cuda:0, cuda:1", places)
    generated = [Prompt(tokens, new_tokens=24) for tokens in _tokens(4, 700)]
    forced = [Prompt(tokens, forced=tokens[:24]) for tokens in _tokens(4, 700)]
    several = [methods.create(name, **knobs) for name, knobs in CELLS.items()]
    for kernel in KERNELS:
        engines = [Engine(bridge, kernel=kernel) for bridge in (Launched(one), Bridge(two))]
        for what, batch in (("generated", generated), ("forced", forced)):
            expected, found = (engine.run(batch, several) for engine in engines)
            for name, own, other in zip(CELLS, found, expected, strict=True):
                yield _equal(f"{name}, {what}, {kernel}: two GPUs as one", own, other)


def _equal(name: str, found: Sequence[Output], expected: Sequence[Output]) -> Check:
    pairs = list(zip(found, expected, strict=True))
    tokens = all(own.tokens == other.tokens and own.active == other.active for own, other in pairs)
    apart = max(abs(a - b) for own, other in pairs for a, b in zip(own.nll, other.nll, strict=True))
    return Check(name, tokens and apart <= 1e-4, f"tokens {'equal' if tokens else 'differ'}, nats apart {apart:.2g}")


def large() -> Iterator[Check]:
    """Run 70 billion random weights over both GPUs."""
    for index in (0, 1):
        torch.cuda.reset_peak_memory_stats(index)
    begin = time.perf_counter()
    engine = Engine(Bridge(_model("llama-3-70b", device_map="auto")))
    made, batch = time.perf_counter() - begin, [Prompt(tokens, new_tokens=16) for tokens in _tokens(4, 1500)]
    several = [methods.create(name, **CELLS[name]) for name in ("dense", "sparq")]
    for turn in ("first", "second"):
        begin = time.perf_counter()
        outputs = engine.run(batch, several)
        seconds = time.perf_counter() - begin
        done = all(len(output.tokens) == 16 for of in outputs for output in of)
        yield Check(f"70 billion weights, {turn} batch of 4 x 1,500 tokens, 16 new, 2 cells", done, f"{seconds:.1f} s")
    peaks = [torch.cuda.max_memory_allocated(index) for index in (0, 1)]
    measured = " and ".join(f"{peak / 1e9:.1f} GB" for peak in peaks)
    yield Check("they fit 2 x 80 GB", max(peaks) < MOST_BYTES, f"{measured} at the peak, made in {made:.0f} s")


def _model(shape: str, **where: Any) -> Any:
    spec = ModelSpec(shape, f"shape:{shape}", dtype="bfloat16", random_weights=True, **where)
    return find(spec).load()


def _tokens(count: int, length: int) -> list[tuple[int, ...]]:
    drawn = torch.randint(1000, 40_000, (count, length), generator=torch.Generator().manual_seed(0))
    return [tuple(row) for row in drawn.tolist()]


if __name__ == "__main__":
    sys.exit(main())

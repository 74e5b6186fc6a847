"""Measures what a grid of cells costs, as ratios taken in one go: `python scripts/benchmark_sweep.py`.

Each part runs in a process of its own, so that peak memory is its own: a grid of cells against lm-eval's hf backend
evaluating dense alone on the same prompts (time, peak memory), and on SmolLM2 a teacher-forced text of 100 tokens under
SparQ against a prefill of the same text. A 7B shape on a GPU: --model llama-2-7b-shape --grid paper --examples 32
--hf-batches 8,16,32 --new 32.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import yaml

from harness.paths import asset

Runs = dict[str, Callable[[], object]]
GRIDS = {
    "small": {"sparq": ("r", [8, 16, 32]), "h2o": ("k", [192, 256, 384]), "lm_infinite": ("k", [192, 256, 384])}
    | {"flexgen": ("k", [8, 32, 128])},
    "paper": {"sparq": ("r", [8, 16, 32, 64]), "h2o": ("k", [192, 256, 384, 512, 768])}
    | {"lm_infinite": ("k", [192, 256, 384, 512, 768]), "flexgen": ("k", [2, 8, 32, 128, 256])},
}


def main() -> None:
    """Measure every part in its own process and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), help="measure one part and print it as JSON")
    parser.add_argument("--model", default="smollm2", help="a file of conf/model/")
    parser.add_argument("--tokenizer", help="a path in place of the model's own tokenizer")
    parser.add_argument("--grid", choices=sorted(GRIDS), default="small", help="dense and these cells")
    parser.add_argument("--hf-batches", default="8", help="batch sizes that the hf backend may choose from")
    parser.add_argument("--prompt", type=int, default=1500, help="prompt tokens")
    parser.add_argument("--new", type=int, default=16, help="generated tokens")
    parser.add_argument("--examples", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many is taken")
    given = parser.parse_args()
    if given.part:
        print(json.dumps(measure(given)))
        return
    report(given)
    if given.model == "smollm2" and (given.prompt, given.new) == (1500, 16):
        report(argparse.Namespace(**{**vars(given), "prompt": 400, "new": 64}))
        report_scoring(given)


def report(given: argparse.Namespace) -> None:
    """Print the grid against dense alone."""
    hf, grid = (in_own_process(part, given) for part in ("hf_dense", "grid"))
    print(f"{given.model}: {given.examples} prompts of {given.prompt} tokens, {given.new} generated:")
    print(f"  hf backend, dense alone  {hf['seconds']:7.2f} s  peak {hf['peak_mb']:6.0f} MB  {hf['note']}")
    print(f"  harness, {grid['note']:<15} {grid['seconds']:7.2f} s  peak {grid['peak_mb']:6.0f} MB")
    print(f"  cost of the grid         {grid['seconds'] / hf['seconds']:7.2f} x dense alone")
    print(f"  peak memory              {grid['peak_mb'] / hf['peak_mb']:7.2f} x dense alone")
    print(f"  example runs per second  {given.examples * grid['cells'] / grid['seconds']:7.2f}")


def report_scoring(given: argparse.Namespace) -> None:
    """Print a continuation under SparQ against one prefill of the same text."""
    found = in_own_process("scoring", given)
    print("1 text of 1500 tokens and a continuation of 100, under SparQ:")
    print(f"  prefill of the text      {found['prefill']:7.2f} s")
    print(f"  prefill and continuation {found['scored']:7.2f} s")
    print(f"  cost                     {found['scored'] / found['prefill']:7.2f} prefills")


def in_own_process(part: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run one part and read its JSON line."""
    same = {name.replace("_", "-"): value for name, value in vars(given).items() if value is not None}
    options = [text for name, value in {**same, "part": part}.items() for text in (f"--{name}", str(value))]
    done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure the best time of what a part does, in turns, and the peak memory of this process or its GPU."""
    runs, facts = PARTS[given.part](given)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(given.repeats):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0
    peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    best = {name: min(taken) for name, taken in seconds.items()}
    fastest = min(best, key=lambda name: best[name])
    return {"note": fastest, "seconds": best[fastest], "peak_mb": peak, **facts, **best}


def hf_dense(given: argparse.Namespace) -> tuple[Runs, dict[str, Any]]:
    """Run lm-eval's own backend, at each batch size."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    checkpoint = _checkpoint(given)
    model, tokenizer = checkpoint.load(), checkpoint.tokenizer()
    asked = {"until": [], "max_gen_toks": given.new, "min_new_tokens": given.new, "do_sample": False}
    texts = [tokenizer.decode(tokens) for tokens in _prompts(given, given.examples, given.prompt)]
    requests = [Instance("generate_until", {}, (text, asked), i) for i, text in enumerate(texts)]

    def run(batch: int) -> Callable[[], object]:
        backend = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch, max_length=checkpoint.max_length)
        return lambda: backend.generate_until(requests, disable_tqdm=True)

    return {f"batch {b}": run(int(b)) for b in given.hf_batches.split(",")}, {}


def grid(given: argparse.Namespace) -> tuple[Runs, dict[str, Any]]:
    """Run dense and the other cells from one prefill."""
    from harness.engine import Engine, Prompt
    from harness.hf import Bridge
    from harness.methods import create

    cells = [create(name, **{knob: v}) for name, (knob, values) in GRIDS[given.grid].items() for v in values]
    methods = [create("dense"), *cells]
    model = Bridge(_checkpoint(given).load())
    engine = Engine(model, prefill_tokens=given.prompt if given.model == "smollm2" else 8192)
    works = [Prompt(tuple(tokens), new_tokens=given.new) for tokens in _prompts(given, given.examples, given.prompt)]
    return {f"{len(methods)} cells": lambda: engine.run(works, methods)}, {"cells": len(methods)}


def scoring(given: argparse.Namespace) -> tuple[Runs, dict[str, Any]]:
    """Run a prefill alone (its one token is the prefill's own), and one with 100 forced tokens under SparQ."""
    from harness.engine import Engine, Prompt
    from harness.hf import Bridge
    from harness.methods import create

    engine = Engine(Bridge(_checkpoint(given).load()))
    (tokens,) = _prompts(given, 1, 1600)
    alone = Prompt(tuple(tokens), new_tokens=1)
    scored = Prompt(tuple(tokens[:1500]), forced=tuple(tokens[1500:]))
    sparq = create("sparq", r=16, k=128, local=32)
    runs: Runs = {
        "prefill": lambda: engine.run([alone], [create("dense")]),
        "scored": lambda: engine.run([scored], [sparq]),
    }
    return runs, {}


PARTS = {"hf_dense": hf_dense, "grid": grid, "scoring": scoring}


def _checkpoint(given: argparse.Namespace) -> Any:
    from harness.commands.compose import model_spec
    from harness.hf import find

    return find(model_spec(given.model, **({"tokenizer": given.tokenizer} if given.tokenizer else {})))


def _prompts(given: argparse.Namespace, count: int, length: int) -> list[list[int]]:
    """Cut prompts of exactly `length` tokens out of the embedded articles, no two alike."""
    articles = [yaml.safe_load(file.read_text()) for file in sorted((asset("tasks") / "corpus").glob("*.yaml"))]
    text = "\n".join(paragraph for article in articles for paragraph in article["paragraphs"])
    tokens = _checkpoint(given).tokenizer()(text).input_ids
    starts = range(0, len(tokens) - length, max(1, (len(tokens) - length) // count))
    return [tokens[start : start + length] for start in list(starts)[:count]]


if __name__ == "__main__":
    main()

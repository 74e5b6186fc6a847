"""What a grid of cells costs, as ratios measured in one go: `python scripts/benchmark_sweep.py`.

Three figures on SmolLM2, each part in a process of its own so that peak memory is its own:
the 13-cell grid against lm-eval's hf backend evaluating dense alone on the same prompts and batch size (time, peak
memory), and a teacher-forced text of 100 tokens under SparQ against a prefill of the same text.
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

import yaml

from harness.paths import asset

Runs = dict[str, Callable[[], object]]


def main() -> None:
    """Measure every part in its own process and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), help="measure one part and print it as JSON")
    parser.add_argument("--prompt", type=int, default=1500, help="prompt tokens")
    parser.add_argument("--new", type=int, default=16, help="generated tokens")
    parser.add_argument("--examples", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many is taken")
    given = parser.parse_args()
    if given.part:
        print(json.dumps(measure(given)))
        return
    report(given.prompt, given.new, given.examples, given.repeats)
    if (given.prompt, given.new) == (1500, 16):
        report(400, 64, given.examples, given.repeats)
        report_scoring(given.repeats)


def report(prompt: int, new: int, examples: int, repeats: int) -> None:
    """The grid against dense alone."""
    shape = ["--prompt", prompt, "--new", new, "--examples", examples, "--repeats", repeats]
    hf, grid = (in_own_process(part, *shape) for part in ("hf_dense", "grid"))
    print(f"{examples} prompts of {prompt} tokens, {new} generated, batch {examples}:")
    print(f"  hf backend, dense alone  {hf['seconds']:6.1f} s  peak {hf['peak_mb']:5.0f} MB")
    print(f"  harness, 13 cells        {grid['seconds']:6.1f} s  peak {grid['peak_mb']:5.0f} MB")
    print(f"  cost of the grid         {grid['seconds'] / hf['seconds']:6.2f} x dense alone (bar: 2.0 at 1500/16)")
    print(f"  peak memory              {grid['peak_mb'] / hf['peak_mb']:6.2f} x dense alone (bar: 1.3)")


def report_scoring(repeats: int) -> None:
    """A continuation under SparQ against one prefill of the same text."""
    found = in_own_process("scoring", "--repeats", repeats)
    print("1 text of 1500 tokens and a continuation of 100, under SparQ:")
    print(f"  prefill of the text      {found['prefill']:6.2f} s")
    print(f"  prefill and continuation {found['scored']:6.2f} s")
    print(f"  cost                     {found['scored'] / found['prefill']:6.2f} prefills (bar: 3.0)")


def in_own_process(part: str, *options: Any) -> dict[str, float]:
    """Run one part and read its JSON line."""
    command = [sys.executable, __file__, "--part", part, *map(str, options)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(given: argparse.Namespace) -> dict[str, float]:
    """Best time of each thing that a part does, taken in turns, and the peak memory of this process."""
    runs = PARTS[given.part](given)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(given.repeats):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak_mb": peak} | {name: min(taken) for name, taken in seconds.items()}


def hf_dense(given: argparse.Namespace) -> Runs:
    """lm-eval's own backend."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    backend = HFLM(pretrained=_checkpoint().path, batch_size=given.examples, device="cpu", dtype="float32")
    asked = {"until": [], "max_gen_toks": given.new, "min_new_tokens": given.new, "do_sample": False}
    texts = [backend.tokenizer.decode(tokens) for tokens in _prompts(given.examples, given.prompt)]
    requests = [Instance("generate_until", {}, (text, asked), i) for i, text in enumerate(texts)]
    return {"seconds": lambda: backend.generate_until(requests, disable_tqdm=True)}


def grid(given: argparse.Namespace) -> Runs:
    """Dense, and four methods at three settings each, from one prefill."""
    from harness.engine import Engine, Work
    from harness.methods import create

    methods = [create("dense")]
    methods += [create("sparq", r=r, k=128, local=32) for r in (8, 16, 32)]
    methods += [create(name, k=k) for name in ("h2o", "lm_infinite") for k in (192, 256, 384)]
    methods += [create("flexgen", k=k) for k in (8, 32, 128)]
    engine = Engine(_checkpoint().load())
    works = [Work(tuple(tokens), new_tokens=given.new) for tokens in _prompts(given.examples, given.prompt)]
    return {"seconds": lambda: engine.run(works, methods)}


def scoring(_: argparse.Namespace) -> Runs:
    """A prefill alone (its one token is the prefill's own), and a prefill with 100 forced tokens under SparQ."""
    from harness.engine import Engine, Work
    from harness.methods import create

    engine = Engine(_checkpoint().load())
    (tokens,) = _prompts(1, 1600)
    alone = Work(tuple(tokens), new_tokens=1)
    scored = Work(tuple(tokens[:1500]), forced=tuple(tokens[1500:]))
    sparq = create("sparq", r=16, k=128, local=32)
    return {
        "prefill": lambda: engine.run([alone], [create("dense")]),
        "scored": lambda: engine.run([scored], [sparq]),
    }


PARTS: dict[str, Callable[[argparse.Namespace], Runs]] = {"hf_dense": hf_dense, "grid": grid, "scoring": scoring}


def _checkpoint() -> Any:
    from harness.models import ModelSpec, find

    return find(ModelSpec.of(yaml.safe_load((asset("conf") / "model" / "smollm2.yaml").read_text())))


def _prompts(count: int, length: int) -> list[list[int]]:
    """Prompts of exactly `length` tokens out of the embedded articles, no two alike."""
    articles = [yaml.safe_load(file.read_text()) for file in sorted((asset("tasks") / "corpus").glob("*.yaml"))]
    text = "\n".join(paragraph for article in articles for paragraph in article["paragraphs"])
    tokens = _checkpoint().tokenizer()(text).input_ids
    starts = range(0, len(tokens) - length, max(1, (len(tokens) - length) // count))
    return [tokens[start : start + length] for start in list(starts)[:count]]


if __name__ == "__main__":
    main()

"""Measures a sweep in two shards, one on each GPU, against the same on one: the first part of two_gpu_check.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from harness.data.chronicle import chronicle

ROOT = Path(__file__).resolve().parent.parent
BAR = 1.85
SWEEP: tuple[str, ...] = (
    *("model=custom", "model.dtype=bfloat16", "model.random_weights=true", "data=embedded", "task=squad"),
    *("methods=[dense,sparq,h2o,lm_infinite,flexgen]", "ratios=[2,4]", "budget=balanced", "engine.batch_size=4"),
    "engine.batch_tokens=1000000",  # auto would ask each GPU what it has free, and cut other batches
)


class Check(NamedTuple):
    """Says what was checked, if it holds, and what was measured."""

    name: str
    holds: bool
    measured: str


def shards(limit: int) -> Iterator[Check]:
    """Compare a sweep in two shards with the serial one."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = [*SWEEP, f"model.path={make_model(Path(folder) / 'model', 'llama-3-8b')}"]
        _run(folder, [*sweep, "limit=4", "results=warm"])  # compiles the kernels
        serial = _run(folder, [*sweep, f"limit={limit}", "results=serial", "model.device=cuda:0"])
        parallel = _run(folder, ["-m", *sweep, f"limit={limit}", "results=two", "shards=2", "launcher=joblib"])
        one, two = (batch_seconds(Path(folder) / name) for name in ("serial", "two"))
        devices = _devices(Path(folder) / "two")
        same = _python(folder, [str(ROOT / "scripts" / "compare_tables.py"), "serial", "two"])
    yield Check("the two shards ran on two GPUs", devices == ["cuda:0", "cuda:1"], ", ".join(devices))
    yield Check("tables of two shards equal those of a serial run", same.returncode == 0, same.stdout.strip())
    ratio = sum(one[0]) / max(map(sum, two))
    seconds = ", ".join(f"{sum(shard):.1f} s in {len(shard)} batches" for shard in (*one, *two))
    measured = f"{ratio:.2f} x (serial, then shards: {seconds}; launches took {serial:.0f} and {parallel:.0f} s)"
    yield Check(f"two GPUs compute at least {BAR} x as fast", ratio >= BAR, measured)


def make_model(folder: Path, shape: str, vocabulary: int = 512) -> Path:
    """Make a folder with the configuration of a shape and a tokenizer of bytes and pairs; returns it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([chronicle(2000)], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    config = json.loads((ROOT / "harness" / "hf" / "shapes" / shape / "config.json").read_text())
    config |= {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": 1}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def batch_seconds(results: Path) -> list[list[float]]:
    """Return, for each shard of the one run below a results folder, the seconds of its batches in order."""
    found = []
    for file in sorted(results.glob("*/outputs*.jsonl")):
        batches: dict[str, float] = {}
        for record in map(json.loads, file.read_text().splitlines()):
            seconds = record["seconds"] + record["shared_seconds"]
            batches[record["batch"]] = batches.get(record["batch"], 0.0) + seconds
        found.append(list(batches.values()))
    return found


def _devices(results: Path) -> list[str]:
    (file,) = results.glob("*/launches.jsonl")
    return sorted(json.loads(line)["device"] for line in file.read_text().splitlines())


def _run(folder: str, arguments: Sequence[str]) -> float:
    """Run `harness run`; returns its seconds, start-up included. Raises RuntimeError with what it said if it failed."""
    begin = time.perf_counter()
    done = _python(folder, ["-m", "harness", "run", *arguments])
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return time.perf_counter() - begin


def _python(folder: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths, "HARNESS_CACHE": f"{folder}/cache", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)

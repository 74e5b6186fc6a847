"""lm-eval's own command line on a tiny task, and what eager transformers says to the same."""

import json
import os
from pathlib import Path

import lm_eval.tasks
import pytest
import torch
from lm_eval.tasks._index import TaskIndex
from support.lm_eval_runs import ASKED, TASK, TEXTS
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.__main__ import main


@pytest.fixture
def short_index(monkeypatch):
    """Let lm-eval index two of its tasks, those that tests ask for: reading all thousands takes minutes."""
    shipped, build = Path(lm_eval.tasks.__file__).parent, TaskIndex.build

    def few(paths):
        return build([inner for path in paths for inner in (map(path.joinpath, ASKED) if path == shipped else [path])])

    monkeypatch.setattr(TaskIndex, "build", staticmethod(few))


@pytest.fixture
def by_hand(tiny):
    """Log-likelihood of a continuation given a context, by eager attention in one pass."""
    model = AutoModelForCausalLM.from_pretrained(tiny, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(tiny)

    @torch.inference_mode()
    def likelihood(context, continuation):
        whole = tokenizer(context + continuation).input_ids
        start = len(tokenizer(context).input_ids) if context else 0
        said = model(torch.tensor([[0, *whole]] if not context else [whole])).logits[0].log_softmax(-1)
        first = start - 1 if context else 0
        return sum(float(said[first + i, token]) for i, token in enumerate(whole[start:]))

    return likelihood


@pytest.fixture
def command(tiny, tmp_path, monkeypatch):
    """Run lm-eval's command line on the tiny task; returns its numbers and samples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", os.environ.copy())

    def call(kind, metric, aggregation, method, *more, backend="harness", folder=tiny):
        docs = tmp_path / "docs.json"
        docs.write_text("".join(json.dumps({"text": text, "target": "a red lantern"}) + "\n" for text in TEXTS))
        settings = {"file": docs, "kind": kind, "metric": metric, "aggregation": aggregation}
        (tmp_path / "tiny.yaml").write_text(TASK.format(**settings))
        model = f"pretrained={folder}" + (f",method={method}" if backend == "harness" else ",dtype=float32")
        asked = ["--model", backend, "--model_args", model, "--tasks", "tiny_mill", "--device", "cpu"]
        out = tmp_path / f"out_{backend}"
        where = ["--include_path", str(tmp_path), "--output_path", str(out), "--log_samples"]
        assert main(["lm-eval", "run", *asked, *where, *more]) == 0
        (results,), (samples,) = out.rglob("results_*.json"), out.rglob("samples_*.jsonl")
        found = json.loads(results.read_text())["results"]["tiny_mill"]
        return found, [json.loads(line) for line in samples.read_text().splitlines()]

    return call

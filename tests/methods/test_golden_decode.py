"""Decode steps against the paper authors' own implementation (data/decode_attention.npz)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.methods import create, decode

DATA = Path(__file__).parent
VECTORS = np.load(DATA / "decode_attention.npz")
CASES = json.loads((DATA / "decode_attention.json").read_text())
RUNS = [(case, name) for case, golden in CASES.items() for name in golden["settings"]]


def method_of(settings):
    """Our method for the authors' settings."""
    kind, k = settings["kind"], settings.get("k")
    if kind == "dense":
        return create("dense")
    if kind == "sparq":
        reallocate = settings["reallocate_to_mean_value"]
        return create("sparq", r=settings["rank"], k=k, local=settings["local_k"], reallocate=reallocate)
    if kind == "eviction":
        name, more = {"sum_weight": ("h2o", {}), "lru": ("lru", {"ties": "torch"})}[settings["strategy"]]
        return create(name, k=k, local=settings["local_k"], **more)
    if kind == "local":
        return create("lm_infinite", k=k, initial=settings["initial_k"])
    assert kind == "sparse_v"
    before = not settings["apply_after_softmax"]
    return create("flexgen", k=k, reallocate=settings["reallocate_to_mean"], before_softmax=before)


def tensors(case):
    """query, key, value, mask of a case."""
    return [torch.from_numpy(VECTORS[f"{case}/{name}"]) for name in ("query", "key", "value", "attention_mask")]


def test_every_stored_output_has_a_setting():
    stored = {tuple(name.split("/out/")) for name in VECTORS.files if "/out/" in name}
    assert stored == set(RUNS)
    assert len(RUNS) >= 40


@pytest.mark.parametrize(("case", "name"), RUNS, ids=lambda value: value)
def test_decode_equals_the_authors_outputs(case, name):
    found = decode(method_of(CASES[case]["settings"][name]), *tensors(case), int(VECTORS[f"{case}/prefill_length"]))
    expected = torch.from_numpy(VECTORS[f"{case}/out/{name}"])
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("case", "name"), [run for run in RUNS if run[1] != "dense"], ids=lambda value: value)
def test_the_authors_outputs_differ_from_dense_by_more_than_the_tolerance(case, name):
    difference = VECTORS[f"{case}/out/{name}"] - VECTORS[f"{case}/out/dense"]
    assert np.abs(difference).max() > 1e-3

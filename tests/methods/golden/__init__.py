"""Golden vectors of the methods: numbers of the authors' implementations, in shared data beside the checkout.

A file holds cases (mha, gqa, ...), each with query, key and value [B, H, P+T, D], attention_mask, prefill_length P and
the outputs [B, Hq, T, D] of several settings. A test of a method is parametrised over `settings(NAME)`.
"""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.methods import decode
from harness.methods.decoding import steps

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("HARNESS_SHARED") or ROOT.parent / "shared") / "golden" / "methods"


@dataclass(frozen=True)
class Setting:
    """One setting of one case: its knobs as the authors call them, and everything that the file holds of it."""

    method: str
    case: str
    name: str
    given: dict

    def __str__(self):
        return f"{self.case}-{self.name}"

    def array(self, name, dtype=None):
        """An array of the case, or of this setting where it is called name/SETTING."""
        found = vectors(self.method)
        key = f"{self.case}/{name}"
        tensor = torch.from_numpy(found[key if key in found else f"{key}/{self.name}"])
        return tensor if dtype is None or not tensor.is_floating_point() else tensor.to(dtype)

    def has(self, name):
        """True if the file holds such an array."""
        return {f"{self.case}/{name}", f"{self.case}/{name}/{self.name}"} & set(vectors(self.method)) != set()

    def tensors(self, dtype=torch.float32):
        """query, key, value, attention_mask and prefill_length, as `decode` takes them."""
        of = [self.array(name, dtype) for name in ("query", "key", "value")]
        return *of, self.array("attention_mask").bool(), int(self.array("prefill_length"))

    def decode(self, method, dtype=torch.float32, **place):
        """What a method of ours computes of this case."""
        return decode(method, *self.tensors(dtype), **place)

    def expected(self, dtype=torch.float32):
        """What the authors' computes."""
        return self.array("out", dtype)


@cache
def vectors(method):
    """The arrays of a method's file."""
    return dict(np.load(FOLDER / f"{method}.npz"))


@cache
def described(method):
    """What the file says of its cases and settings."""
    return json.loads((FOLDER / f"{method}.json").read_text())


def settings(method, wanted=lambda _: True):
    """Parametrise a test over `setting`, every setting of every case of a method; without the files it is skipped."""
    if not FOLDER.is_dir():
        absent = pytest.param(None, marks=pytest.mark.skip(f"no golden numbers at {FOLDER}: set HARNESS_SHARED"))
        return pytest.mark.parametrize("setting", [absent], ids=["absent"])
    found = [
        Setting(method, case, name, given)
        for case, golden in described(method).items()
        if not case.startswith("_")
        for name, given in golden.get("settings", {}).items()
    ]
    return pytest.mark.parametrize("setting", [one for one in found if wanted(one)], ids=str)


def attended(method, query, key, value, attention_mask, prefill_length, **place):
    """Which tokens each query head attends to exactly, [B, Hq, T, P+T] bool: those whose V has a gradient."""
    found = []
    for step, state in steps(method, query, key, value, attention_mask, prefill_length, **place):
        v = step.v.clone().requires_grad_(True)
        fields = {name: getattr(step, name) for name in step.__dataclass_fields__}
        output = method.attend(type(step)(**{**fields, "v": v}), state)
        b, h, g, _ = output.shape
        kept = torch.zeros(b, h, g, key.shape[2], dtype=torch.bool)
        for head in range(g):
            (grad,) = torch.autograd.grad(output[:, :, head].square().sum(), v, retain_graph=True)
            kept[:, :, head, : v.shape[2]] = (grad != 0).any(-1)
        found.append(kept.flatten(1, 2))
    return torch.stack(found, 2)


def by_head(kept, heads):
    """Kept sets [B, 1 or Hkv, T, N] as query heads have them, [B, Hq, T, N]."""
    return kept.repeat_interleave(heads // kept.shape[1], 1)


def left(method, *tensors, **place):
    """Which prompt tokens an eviction at the prompt's end leaves, [B, heads, P] bool, heads of those that choose."""
    step, state = next(steps(method, *tensors, **place))
    at = state.index[:, :, None, :, None] == torch.arange(step.length - 1)
    return (at & state.own[..., None]).any(3).flatten(1, 2)

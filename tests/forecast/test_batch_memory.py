"""What a batch is reckoned to take is what the engine allocates for a tiny model, and what filled a GPU."""

import memory_on_gpu
import pandas as pd
import pytest
import speed_rows
import torch
from support import KNOBS
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM

from harness import methods
from harness.attention import LayerShape, Rope
from harness.attention.statistics import BLOCK
from harness.engine import Engine, Prompt, comparison, session
from harness.forecast.memory import Example, Passes, demand_of, fitting_tokens
from harness.forecast.transformer import Transformer
from harness.hf.bridge import Bridge
from harness.methods.cell import Cell
from harness.sweep.batch_tokens import _state_bytes

TINY = Transformer([LayerShape(2, 16)] * 2, hidden=64, inner=96, vocabulary=400, heads=4, element=4)
LLAMA_3 = Transformer([LayerShape(8, 128, group=4)] * 32, hidden=4096, inner=14336, vocabulary=128256, heads=32)
UNAIDED = [
    name for name, knobs in KNOBS.items() if not methods.create(name, **knobs).needs & {"calibration", "compress"}
]
"""Methods that need neither prompts to learn from nor another package."""


class Peak(TorchDispatchMode):
    """Counts the most bytes of tensors that lived at once, those of the weights apart.

    Those that are gone are taken off when there may be a new peak: to look for them after every operation takes long.
    """

    def __init__(self, weights):
        super().__init__()
        self.bytes = 0
        self._total = 0
        self._live = {}
        self._weights = {weight.untyped_storage()._cdata for weight in weights}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self._weights:
                self._add(tensor.untyped_storage())
        if self._total > self.bytes:
            self._live = {name: found for name, found in self._live.items() if not found[0].expired()}
            self._total = sum(size for _, size in self._live.values())
            self.bytes = max(self.bytes, self._total)
        return result

    def _add(self, storage):
        there, size = self._live.get(storage._cdata, (None, 0))
        if there is None or there.expired():
            self._live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
            self._total += storage.nbytes() - size


@pytest.mark.parametrize("divergence", [True, False], ids=["compared", "alone"])
@pytest.mark.parametrize("forced", [True, False], ids=["forced", "generated"])
@pytest.mark.parametrize(
    ("names", "rows", "prompt", "steps"),
    [
        (["dense"], 16, 60, 50),
        (UNAIDED, 6, 400, 12),
        (["h2o"] * 8, 6, 600, 8),
        (["dense", "sparq"] * 10, 20, 100, 9),
    ],
    ids=["one cell", "every method", "states as large as the cache", "many rows"],
)
def test_a_batch_takes_no_more_memory_than_was_reckoned_and_not_much_less(
    tiny, monkeypatch, names, rows, prompt, steps, forced, divergence
):
    logit_bytes = 1 << 16
    for module in (session, comparison):
        monkeypatch.setattr(module, "LOGIT_BYTES", logit_bytes)
    half = {"k": prompt // 2}
    chosen = [methods.create(name, **(KNOBS[name] | (half if "k" in KNOBS[name] else {}))) for name in names]
    given_text = {"forced": tuple(range(2, 2 + steps))} if forced else {"new_tokens": steps}
    prompts = [Prompt(tuple(torch.randint(2, 400, (prompt - i,)).tolist()), **given_text) for i in range(rows)]
    model = AutoModelForCausalLM.from_pretrained(tiny).eval().requires_grad_(False)
    with Peak(model.parameters()) as peak:
        engine = Engine(Bridge(model), prompt, ropes=[Rope.plain(1e4, 16)] * 2, divergence=divergence)
        engine.run(prompts, chosen)
    cells = [Cell.of(name, method) for name, method in zip(names, chosen, strict=True)]
    caches = 2 if divergence and any(of.own_prefill for of in chosen) else 1
    demand = demand_of(
        TINY, [Example(prompt, steps)], len(names), Passes(prompt, BLOCK, logit_bytes),
        lambda one: _state_bytes(TINY, one, cells), caches,
    )  # fmt: skip
    counted = rows * (prompt + len(names) * steps)
    assert fitting_tokens(peak.bytes, demand) < counted
    assert fitting_tokens(3 * peak.bytes, demand) > counted


def test_as_many_prompts_are_planned_for_80_gb_as_filled_them_when_it_was_measured():
    filled = pd.read_csv(speed_rows.SPEED / "memory.csv").query("what.str.contains('fill')")
    planned = {length: memory_on_gpu.rows_that_fit(LLAMA_3, length, 80e9 - 16.1e9) for length in memory_on_gpu.LENGTHS}
    assert list(planned.values()) == filled["rows"].to_list() and (filled["share"] > 0.9).all()

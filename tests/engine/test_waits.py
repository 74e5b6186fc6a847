"""Decoding sends the device no number, and asks for one at the first step alone: it would wait for all layers."""

import pytest
import torch
from support import architectures
from support.engine_runs import cells

from harness import methods
from harness.engine.activity import Activity
from harness.engine.cache import PromptCache
from harness.engine.decode import Decode, DecodeStream
from harness.engine.prefill import Prefill
from harness.hf.bridge import Bridge
from harness.kernels import find_binding

META = torch.device("meta")
"""Tensors without contents: whoever reads one fails."""
STEADY = [
    methods.find(name)
    for name in ("dense", "sparq", "h2o", "lm_infinite", "streaming", "window", "flexgen", "oracle_topk")
]
"""Those whose steps read nothing in torch either. Others that have a kernel count what their prompt leaves."""


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma2"])
def test_no_decode_step_of_a_method_with_a_kernel_needs_contents_but_the_first(name, monkeypatch):
    bridge = Bridge(architectures.model(name).to(META))
    cache = PromptCache([21, 13], [2, 2], META)
    recorded = [cell for cell in cells() if type(cell) in STEADY and find_binding(cell)]
    observed = frozenset().union(*(cell.observes for cell in recorded))
    tokens, rows = torch.zeros(2, 21, dtype=torch.long, device=META), 2 * len(recorded)
    bridge.forward(tokens, tokens, Prefill(cache, slice(0, 2), observed), cache.live(cache.device).count - 1)
    streams = [DecodeStream.of(cell, cache) for cell in recorded]
    monkeypatch.setattr(torch, "tensor", _refuse)
    read_after = set()
    for done in range(2):
        monkeypatch.setattr(Activity, "read", lambda _, done=done: read_after.add(done))
        token = torch.zeros(rows, 1, dtype=torch.long, device=META)
        column = torch.arange(done, done + 1, device=META)
        assert bridge.forward(token, token + done, Decode(streams, done, column)).shape[:2] == (rows, 1)
    assert read_after == {0}


def _refuse(*_, **__):
    raise AssertionError("a tensor was made of numbers of the host")

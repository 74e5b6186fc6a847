"""What a method counts as its state, with which memory is planned, is what its state takes."""

from typing import Any

import pytest
import torch
from support import KNOBS

from harness import methods
from harness.attention import LayerShape, Step
from harness.attention.scores import Scores
from harness.bench.cases import prompt_of
from harness.methods.cost import LayerAt

H, G, N, D = 2, 2, 1500, 64
AIDED = {name for name, knobs in KNOBS.items() if methods.create(name, **knobs).needs & {"calibration", "compress"}}


def storages(held: Any, seen: set[int]) -> dict[int, int]:
    """Map every piece of memory behind the tensors of a state, however deep, to its bytes."""
    if id(held) in seen:
        return {}
    seen.add(id(held))
    if isinstance(held, torch.Tensor):
        return {held.untyped_storage()._cdata: held.untyped_storage().nbytes()}
    inner = held if isinstance(held, dict | list | tuple | set) else getattr(held, "__dict__", ())
    found = {}
    for part in inner.values() if isinstance(inner, dict) else inner:
        found |= storages(part, seen)
    return found


@pytest.mark.parametrize("name", sorted(KNOBS.keys() - AIDED))
def test_a_state_takes_what_is_counted_for_it(name):
    """Counted may be twice as much, for what is there for a moment; a tenth of the cache decides nothing."""
    k, v = torch.randn(2, 1, H, N, D).bfloat16()
    step = Step(torch.randn(1, H, G, D).bfloat16(), k, v, torch.ones(1, 1, N, dtype=torch.bool), Scores(D**-0.5))
    method = methods.create(name, **KNOBS[name])
    prefix = prompt_of(method, step, 1)
    given = storages(prefix, set()).keys()
    state = method.start(prefix)
    held = sum(size for memory, size in storages(state, set()).items() if memory not in given)
    counted = 2 * H * method.state_elements(LayerAt.of(LayerShape(H, D, group=G), N, 2, 4))
    slack = 0.1 * 2 * (2 * H * N * D)
    assert held <= counted + slack and counted <= 2 * held + slack, (held, counted, slack)

"""What an eviction has left of a prompt is attended to by a kernel as harness/methods/prompt_eviction.py defines it."""

import pytest
import torch
from support import random_case, steps
from support.kernels import DEVICE, Inputs, error

from harness import methods
from harness.attention import LayerPrefix, Step
from harness.attention.scores import Scores
from harness.attention.survivors import Survivors
from harness.kernels import attend_to_left, find_binding
from harness.kernels.prompt_eviction import Left
from harness.kernels.shared.tiles import AttendTiles

PROMPT = 140


def left_of(x, kept):
    """The survivors of the first PROMPT columns, and the output for the newest query, in float64."""
    k, v = x.k.double(), x.v.double()
    mask = (torch.arange(k.shape[2], device=DEVICE) >= x.padding[:, None])[:, None]
    prefix = LayerPrefix(k[:, :, :PROMPT], v[:, :, :PROMPT], mask[..., :PROMPT], 10)
    survivors = Survivors(prefix, kept)
    return survivors, survivors.attend(Step(x.q.double(), k, v, mask, Scores(k.shape[3] ** -0.5)))


def chosen(x, heads, share=0.3):
    """A random choice: of each query head, with a KV head that keeps nothing and one that keeps everything."""
    b, h = x.k.shape[:2]
    kept = torch.rand(b, h, heads, PROMPT, generator=torch.Generator().manual_seed(3)) < share
    kept[0, 0], kept[0, 1] = False, True
    return kept.to(DEVICE)


@pytest.mark.parametrize(("group", "heads"), [(1, 1), (3, 1), (3, 3)], ids=["one", "together", "alone"])
@pytest.mark.parametrize("tiles", [AttendTiles(16, 1, 1), AttendTiles(16, 1, 3), None], ids=["one", "parts", "planned"])
def test_ragged_choices_equal_the_definition_however_they_are_split(group, heads, tiles):
    x = Inputs.random(g=group, n=150, d=32)
    survivors, expected = left_of(x, chosen(x, heads))
    assert error(attend_to_left(x.q, x.cache(), Left.of(survivors), tiles=tiles), expected) < 1e-5


def test_how_many_tokens_are_decoded_is_read_from_the_device():
    x = Inputs.random(n=150, d=32)
    cache = x.cache()
    cache.longest = cache.capacity
    survivors, expected = left_of(x, chosen(x, 1))
    assert error(attend_to_left(x.q, cache, Left.of(survivors)), expected) < 1e-5


@pytest.mark.parametrize("window", [None, 5])
def test_a_measured_method_counts_what_it_counts_in_torch(window):
    case = random_case(pads=(0, 4), g=2, dtype=torch.float32)
    for tensor in ("q", "k", "v", "mask"):
        setattr(case, tensor, getattr(case, tensor).to(DEVICE))
    plain = methods.create("ada_kv", k=6, window=2, kernel=3, group="none")
    fast = find_binding(plain)
    counted = []
    for step, state in steps(case, plain, None, window):
        plain.attend(step, state)
        counted.append(plain.meter(state).steps[-1])
    left = fast.start(prompt_of(case, plain, window))
    for step, _ in steps(case, plain, None, window):
        fast.attend(step, left)
    torch.testing.assert_close(torch.stack(fast.meter(left).steps), torch.stack(counted), check_dtype=False)


def prompt_of(case, method, window):
    """The prompt that a method starts from."""
    seen = []

    class Watched:
        observes, needs, reads_inputs = method.observes, method.needs, method.reads_inputs

        def start(self, prefix):
            seen.append(prefix)

    next(steps(case, Watched(), None, window))
    return seen[0]

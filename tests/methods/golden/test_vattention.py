"""vAttention against its authors' maskers, with draws that the file holds."""

import pytest
import torch

from golden import settings
from harness.methods.decoding import steps
from harness.methods.selection.vattention import VAttention


class WithDraws(VAttention):
    """The method with draws that are given."""

    def draws(self, step, state):
        b, h, g, _ = step.q.shape
        return tuple(uniform[:, :, state.step - 1, : step.length].view(b, h, g, -1) for uniform in type(self).given)


def method_of(setting):
    WithDraws.given = setting.array("uniform_base"), setting.array("uniform")
    return WithDraws(**setting.given)


@settings("vattention")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_outputs_are_the_authors(setting, dtype):
    found = setting.decode(method_of(setting), dtype)
    torch.testing.assert_close(found, setting.expected(dtype), atol=1e-4, rtol=0)


@settings("vattention")
def test_tokens_are_read_with_the_authors_probability(setting):
    method, expected = method_of(setting), setting.array("weight")
    for t, (step, state) in enumerate(steps(method, *setting.tensors(torch.float64))):
        state.step += 1
        found = method.chances(step, state).flatten(1, 2)
        torch.testing.assert_close(found.float(), expected[:, :, t, : step.length], atol=1e-6, rtol=0)

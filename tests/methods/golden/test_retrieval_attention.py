"""RetrievalAttention's definition, with draws that the file holds (no code of its authors exists)."""

import torch

from golden import attended, settings
from harness.methods.selection.retrieval_attention import RetrievalAttention


class WithDraws(RetrievalAttention):
    """The method with draws that are given."""

    def draws(self, prefix):
        return type(self).given[..., : prefix.mask.shape[-1]]


@settings("retrieval_attention")
def test_outputs_and_found_tokens_are_those_of_the_definition(setting):
    WithDraws.given = setting.array("uniform")
    method = WithDraws(**setting.given)
    found = setting.decode(method, torch.float64)
    torch.testing.assert_close(found, setting.expected(torch.float64), atol=1e-4, rtol=0)
    assert torch.equal(attended(method, *setting.tensors(torch.float64)), setting.array("kept"))
    torch.testing.assert_close(setting.decode(method), setting.expected(), atol=1e-4, rtol=0)

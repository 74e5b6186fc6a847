"""MagicPIG against its authors' accuracy reference, with planes that the file holds."""

import pytest
import torch

from golden import attended, settings
from harness.methods.selection.magic_pig import MagicPIG


class WithPlanes(MagicPIG):
    """The method with planes that are given."""

    def planes(self, prefix):
        return type(self).given


def method_of(setting):
    WithPlanes.given = setting.array("planes")
    knobs = {name: value for name, value in setting.given.items() if name != "window"}
    return WithPlanes(**knobs, local=setting.given["window"])


@settings("magic_pig")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-4), (torch.float32, 2e-3)], ids=str)
def test_outputs_are_the_authors(setting, dtype, tolerance):
    found = setting.decode(method_of(setting), dtype)
    torch.testing.assert_close(found, setting.expected(dtype), atol=tolerance, rtol=0)


@settings("magic_pig")
def test_sampled_tokens_are_the_authors(setting):
    assert torch.equal(attended(method_of(setting), *setting.tensors(torch.float64)), setting.array("kept"))


@settings("magic_pig", lambda setting: setting.name == "all_sampled")
def test_if_all_are_sampled_the_estimate_is_dense(setting):
    found = setting.decode(method_of(setting), torch.float64)
    torch.testing.assert_close(found, setting.array("out/dense").double(), atol=1e-4, rtol=0)

"""Quest against the released accuracy code (and, for `keep_last_page`, a transcription of the kernels' choice)."""

import torch

from golden import attended, settings
from harness.methods import create
from harness.methods import settings as settings_of


def made(setting):
    """The method of a setting. The released code cuts the budget to the length, then to whole pages."""
    given = setting.given
    budget = given["token_budget"]
    if given.get("clamp_budget_to_length"):
        budget = int(setting.array("prefill_length")) + 1
    knobs = {knob: given[knob] for knob in ("page_size", "keep_last_page", "per_query_head") if knob in given}
    return create("quest", token_budget=budget, **knobs)


every_setting = settings("quest", lambda setting: "page_size" in setting.given)


@every_setting
def test_outputs_are_those_of_the_released_code(setting):
    torch.testing.assert_close(setting.decode(made(setting)), setting.expected(), atol=1e-5, rtol=0)


@every_setting
def test_the_tokens_attended_to_are_those_of_the_released_code(setting):
    assert torch.equal(attended(made(setting), *setting.tensors()), setting.array("kept"))


@every_setting
def test_a_base_that_keeps_all_exactly_changes_nothing(setting):
    given = settings_of(made(setting))
    exact = create("quest", **given, base="kivi", base_group_size=1, base_residual_length=1 << 12)
    torch.testing.assert_close(setting.decode(exact), setting.expected(), atol=1e-5, rtol=0)

"""RocketKV against its authors' attention: what the prompt leaves, what each step attends to, and its output."""

import pytest
import torch
from support import close

from golden import attended, by_head, left, settings
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods import Budget, create, solve
from harness.methods.cost import ELEMENT, LayerAt

KNOBS = ("prompt_budget", "window", "kernel", "k", "ratio")


def method_of(setting):
    return create("rocket_kv", token_budget=None, **{knob: setting.given[knob] for knob in KNOBS})


every_setting = settings("rocket_kv", lambda setting: setting.given["kind"] == "rocket_kv")


@every_setting
def test_the_outputs_are_the_authors(setting):
    close(setting.decode(method_of(setting)), setting.expected(), 2e-5)


@every_setting
def test_the_prompt_tokens_left_are_the_authors(setting):
    assert torch.equal(left(method_of(setting), *setting.tensors()), setting.array("prompt_kept"))


@every_setting
def test_the_tokens_attended_to_in_each_step_are_the_authors(setting):
    kept = by_head(setting.array("kept"), setting.array("query").shape[1])
    assert torch.equal(attended(method_of(setting), *setting.tensors()), kept)


@every_setting
def test_chunks_and_channels_are_the_authors(setting):
    stages = method_of(setting).stages(int(setting.array("prefill_length")), setting.array("key").shape[3])
    assert stages == (setting.given["prompt_budget"], setting.given["chunk"], setting.given["r"])


def test_one_token_budget_is_divided_by_the_published_formulas():
    # S = 2048, c = 8, split = 0.38: 2048 / 8^0.38 = 929.2 tokens, of which 48 will be new; ratio 929 / 256 = 3.6
    method = create("rocket_kv", token_budget=256, new_tokens=48)
    assert method.stages(2000, 64) == (881, 2, 35)
    assert create("rocket_kv", token_budget=256, new_tokens=48, split=0.8).stages(2000, 64)[0] == 340
    # 2 x 700 new tokens are more than 2700 / (2700 / 256)^0.404
    assert create("rocket_kv", token_budget=256, new_tokens=700).stages(2000, 64)[0] == 700
    assert create("rocket_kv", token_budget=4096).stages(2000, 64) == (2000, 1, 64)


def test_a_step_is_charged_for_chunks_tokens_and_bounds_of_what_is_cached():
    method = create("rocket_kv", token_budget=256, new_tokens=48)
    cost = method.cost(LayerAt(2010, 64, prompt=2000))
    assert cost.choose / ELEMENT == 446 * 35 + 2 * 64
    assert cost.attend / ELEMENT == 2 * 128 * 64
    assert cost.write / ELEMENT == 4 * 64
    assert cost.held / ELEMENT == 2 * 891 * 64 + 446 * 2 * 64


def test_what_the_window_leaves_no_room_for_is_refused_with_the_room():
    with pytest.raises(InputError, match="needs window below what its first stage leaves, 32"):
        create("rocket_kv", token_budget=32)
    with pytest.raises(InputError, match="needs window below what its first stage leaves, 20"):
        create("rocket_kv", token_budget=64, prompt_budget=20)
    with pytest.raises(InputError, match="needs token_budget, or else all of prompt_budget, k and ratio"):
        create("rocket_kv", token_budget=None, prompt_budget=64, k=8)


def test_a_ratio_is_solved_for_the_token_budget_beside_what_is_given():
    budget = Budget(8, 2000, (LayerShape(2, 64),))
    solved = solve("rocket_kv", budget)
    assert (solved.prompt_budget, solved.k, solved.ratio) == (None, None, None)
    assert solved.token_budget == pytest.approx(250, abs=10)
    given = solve("rocket_kv", budget, prompt_budget=500, new_tokens=100)
    assert given.prompt_budget == 500
    assert budget.spent(given) <= budget.allowed

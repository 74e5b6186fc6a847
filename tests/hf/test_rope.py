"""Rotary embeddings that change with a text's length."""

import gc

import pytest
import torch
from support import architectures
from transformers import AutoConfig, AutoModelForCausalLM

from harness import methods
from harness.engine import Engine, Prompt
from harness.errors import InputError
from harness.hf.architecture import inspect_architecture
from harness.hf.bridge import Bridge
from harness.hf.rope import check_no_turn, check_reach, turning_point
from harness.hf.trial import takes_mixed_lengths

TURN = 16
LONGROPE = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": TURN}
LONGROPE |= {"short_factor": [1.0, 1.5, 2.0, 3.0], "long_factor": [1.0, 2.0, 4.0, 8.0]}


def config(kind, rope, **more):
    settings = {**architectures.GROUPED, "max_position_embeddings": 64, **more}
    return AutoConfig.for_model(kind, **settings, rope_parameters=rope)


def longrope():
    return config("phi3", LONGROPE, original_max_position_embeddings=TURN)


def test_scores_of_texts_that_pass_the_turning_point_are_those_of_one_pass_over_each_text():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(longrope(), attn_implementation="eager").eval()
    model.requires_grad_(False)
    prompts, forced = architectures.prompts((13, 5, 21, 13)), architectures.prompts((9, 4, 3, 9), seed=1)
    said = []
    for prompt, answer in zip(prompts, forced, strict=True):
        logits = model(torch.tensor([(prompt + answer)[:-1]])).logits[0, len(prompt) - 1 :].log_softmax(-1)
        said.append([-float(logits[i, token]) for i, token in enumerate(answer)])
    engine = Engine(Bridge(model, takes_mixed_lengths("m", longrope())))
    (outputs,) = engine.run(
        [Prompt(p, forced=f) for p, f in zip(prompts, forced, strict=True)], [methods.create("dense")]
    )
    for output, nll in zip(outputs, said, strict=True):
        assert output.nll == pytest.approx(nll, abs=2e-5)


def test_a_continuation_that_may_pass_the_turning_point_is_refused_with_the_length_that_avoids_it():
    turn = turning_point(longrope(), 64)
    assert turn == TURN
    for prompt, end in ((4, TURN), (TURN + 1, 60)):
        check_no_turn("m", turn, prompt, end)
    with pytest.raises(InputError, match=r"model 'm': beyond 16 tokens .* set model.max_length=16"):
        check_no_turn("m", turn, 10, TURN + 1)
    assert turning_point(longrope(), TURN) is None


def test_a_dynamic_embedding_is_refused_only_beyond_the_positions_where_it_stands_still():
    dynamic = config("llama", {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0})
    assert len(inspect_architecture("m", dynamic).layers) == 3
    check_reach("m", dynamic, 64)
    with pytest.raises(InputError, match=r"model 'm': beyond 64 positions .* is dynamic, .* model.max_length=64"):
        check_reach("m", dynamic, 65)
    check_reach("m", config("llama", {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}), 128)


def test_a_bridge_may_follow_another_on_the_same_model():
    model = AutoModelForCausalLM.from_config(longrope(), dtype=torch.float32).eval()
    prompt = [Prompt((5, 6, 7), forced=(8, 9))]

    def run():
        return Engine(Bridge(model)).run(prompt, [methods.create("dense")])[0][0].nll

    first = run()
    gc.collect()
    assert run() == first

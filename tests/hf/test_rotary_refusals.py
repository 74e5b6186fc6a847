"""Where positions turn no keys, or not all alike, no rotary embedding is found, and a sentence says why."""

import pytest
import torch
from support import architectures
from support.rotary import ABSOLUTE, SHORT, assert_turns_keys, close, config, found, longrope, own_rotation
from transformers import AutoConfig

from harness.hf import find
from harness.hf.spec import ModelSpec


@pytest.mark.parametrize("name", sorted(ABSOLUTE))
def test_positions_in_hidden_states_are_no_rotary_embedding(name):
    result = found(config(name))
    assert result.layers == (None,) * 3
    assert result.refusal == "positions are added to the hidden states before its layer 0, not turned into its keys"


def test_a_norm_with_weights_behind_the_rotation_is_no_rotary_embedding():
    result = found(AutoConfig.for_model("hunyuan_v1_dense", **architectures.WIDE))
    assert set(result.layers) == {None}
    assert "keys of its layer 0 at other positions are no rotation" in result.refusal


def test_longrope_has_one_embedding_up_to_the_turning_point_and_none_for_lengths_on_both_sides():
    short = found(longrope(), 16)
    assert short.refusal is None
    assert_turns_keys(short.layers, longrope(), SHORT)
    x = torch.randn(1, 2, len(SHORT), 8)
    close(short.layers[0].rotate(x, SHORT), own_rotation("phi3", longrope(), x, SHORT))
    assert short.layers[0].scaling > 1
    both = found(longrope(), 17)
    assert both.layers == (None,) * 3
    assert both.refusal == "its rotary embedding depends on a text's length: set model.max_length=16 or less"


def test_a_dynamic_embedding_is_none_beyond_the_positions_where_it_stands_still():
    assert None not in found(config("dynamic"), 256).layers
    beyond = found(config("dynamic"), 300)
    assert set(beyond.layers) == {None}
    assert beyond.refusal.endswith("set model.max_length=256 or less")


def test_the_refusal_of_a_checkpoint_is_a_sentence_that_names_the_model(tmp_path):
    config("gpt2").save_pretrained(tmp_path)
    checkpoint = find(ModelSpec(name="m", path=str(tmp_path), device="cpu"))
    assert checkpoint.ropes() == (None,) * 3
    assert checkpoint.rope_refusal().startswith("model 'm': positions are added to the hidden states before its layer")

"""What a configuration alone says against a model."""

import pytest
from transformers import AutoConfig

from harness.hf.refusals import refusal


@pytest.mark.parametrize(
    "head",
    ["LlamaForSequenceClassification", "LlamaForTokenClassification", "LlamaForRewardModel", "OurRewardModel"],
)
def test_a_model_that_scores_texts_is_refused_by_its_own_name(head):
    assert refusal(AutoConfig.for_model("llama", architectures=[head])) == (
        f"its weights are those of {head}, which predicts no next token"
    )


@pytest.mark.parametrize("head", ["LlamaForCausalLM", "LLaMAForCausalLM", "GPT2LMHeadModel", "Own"])
def test_a_model_of_next_tokens_is_not_refused_for_how_it_is_called(head):
    assert refusal(AutoConfig.for_model("llama", architectures=[head])) is None


def test_layers_without_attention_are_named_by_what_they_are():
    kinds = ["full_attention", "conv", "mlp", "linear_attention"]
    config = AutoConfig.for_model("llama", num_hidden_layers=4)
    config.layer_types = kinds
    assert refusal(config) == "its conv, linear_attention layers keep a state that is no KV cache"

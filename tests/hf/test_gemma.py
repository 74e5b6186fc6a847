"""Gemma 3 270M from its packages, where they are installed: its tokens, its layers, and its weights."""

import pytest
import torch

from harness import hf
from harness.commands.compose import model_spec
from harness.errors import InputError


@pytest.fixture(scope="module")
def gemma():
    """The checkpoint, joined and converted on first use."""
    try:
        return hf.find(model_spec("gemma-3-270m"))
    except InputError as error:
        pytest.skip(str(error))


def test_three_of_eighteen_layers_see_everything(gemma):
    windows = [layer.window for layer in gemma.layers]
    assert windows == [*([512] * 5), None] * 3
    assert {(layer.kv_heads, layer.head_dim) for layer in gemma.layers} == {(1, 256)}
    assert gemma.max_length == 32768


def test_a_text_begins_with_the_token_that_begins_texts(gemma):
    tokenizer = gemma.tokenizer()
    text = "  Beyoncé's 1,234\nnaïve 日本語 "
    assert tokenizer("Hello world").input_ids == [2, 9259, 1902]
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_it_continues_a_pattern(gemma):
    tokenizer, model = gemma.tokenizer(), gemma.load()
    tokens = tokenizer("Paris is in France. Berlin is in Germany. Rome is in", return_tensors="pt").to(model.device)
    with torch.no_grad():
        best = int(model(**tokens).logits[0, -1].argmax())
    assert tokenizer.decode([best]) == " Italy"

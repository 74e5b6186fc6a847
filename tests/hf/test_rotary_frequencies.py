"""Frequencies of the rotary embedding, from tables, in the precision and at the size of a model."""

import pytest
import torch
from support import architectures
from support.rotary import close, found, made
from transformers import AutoConfig

from harness.errors import InputError
from harness.hf import find
from harness.hf.frequencies import of_table
from harness.hf.spec import ModelSpec


def test_frequencies_are_recovered_from_a_table_of_sines_and_cosines():
    frequencies = 1e4 ** -(torch.arange(16, dtype=torch.float64) / 16)
    angles = torch.arange(2048, dtype=torch.float64)[:, None] * frequencies
    for parts in ((angles.sin(), angles.cos()), (angles.cos(), angles.sin())):
        torch.testing.assert_close(of_table(torch.cat(parts, 1).float()), frequencies, rtol=3e-7, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_frequencies_are_those_of_the_precision_in_which_a_model_is_loaded(dtype):
    wide = {"hidden_size": 64, "n_embd": 64, "rotary_dim": 12}
    given = AutoConfig.for_model("gptj", **{**architectures.CONVERTED["gptj"], **wide})
    if "gptj" in architectures.REFUSED:
        pytest.skip("gptj is refused with this release of transformers")
    rope, table = found(given, dtype=dtype).layers[0], made(given, dtype).transformer.rotary_emb.embed_positions
    angles = torch.arange(256, dtype=torch.float64)[:, None] * rope.inv_freq
    close(torch.cat((angles.sin(), angles.cos()), 1), table, atol=1e-4)


def test_a_checkpoint_finds_the_embeddings_of_the_full_size_only_when_asked(monkeypatch):
    checkpoint = find(ModelSpec(name="m", path="shape:llama-3-8b", device="cpu", random_weights=True))
    ropes = checkpoint.ropes()
    assert len(ropes) == 32
    assert checkpoint.rope_refusal() is None
    plain = 5e5 ** -(torch.arange(64, dtype=torch.float64) / 64)
    for rope in ropes:
        torch.testing.assert_close(rope.inv_freq.double(), plain, rtol=1e-6, atol=0)

    def never(*_):
        raise InputError("was asked")

    monkeypatch.setattr("harness.hf.checkpoint.find_ropes", never)
    untouched = find(checkpoint.spec)
    with pytest.raises(InputError, match="was asked"):
        untouched.ropes()

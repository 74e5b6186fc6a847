"""Folders that hold no model which runs here: each is refused in one sentence, before weights."""

import json
import shutil

import pytest
from support import architectures
from transformers import AutoConfig

from harness.errors import InputError
from harness.hf import find
from harness.hf.spec import ModelSpec

QUANTISED = {
    "gptq": {"bits": 4, "group_size": 128},
    "awq": {"bits": 4, "group_size": 128, "version": "gemm", "zero_point": True},
    "bitsandbytes": {"load_in_4bit": True},
    "compressed-tensors": {"format": "pack-quantized", "config_groups": {}},
    "torchao": {"quant_type": {"default": {"_type": "Int8WeightOnlyConfig", "_version": 1, "_data": {}}}},
    "hqq": {"quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
    "fp8": {"activation_scheme": "dynamic", "weight_block_size": [128, 128]},
    "mxfp4": {},
    "nobody_knows": {},
}


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy of the tiny model's folder, whose configuration says more."""
    copied = shutil.copytree(tiny, tmp_path / "copy")

    def with_settings(**settings):
        config = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps({**config, **settings}))
        return copied

    return with_settings


def refused(path, **settings):
    with pytest.raises(InputError) as refusal:
        find(ModelSpec(name="m", path=str(path), device="cpu", **settings)).tokenizer()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("kind", QUANTISED)
def test_weights_of_a_kind_that_this_machine_cannot_run_are_refused_by_kind(folder, kind):
    stored = {"quant_method": kind, **QUANTISED[kind]}
    assert f"model 'm': its weights are quantised ({kind})" in refused(folder(quantization_config=stored))


def test_an_adapter_is_refused_alone_and_beside_weights_that_transformers_would_not_read(folder, tmp_path):
    (tmp_path / "alone").mkdir()
    for where in (tmp_path / "alone", folder()):
        (where / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "nowhere/model"}')
        assert "holds an adapter (adapter_config.json)" in refused(where)


def test_a_revision_of_a_folder_is_refused(folder):
    assert "model.revision=main is of the hub" in refused(folder(), revision="main")


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3_text", "qwen2", "opt", "phi3"])
def test_a_folder_without_a_tokenizer_is_refused_whatever_its_class_makes_of_nothing(tmp_path, kind):
    architectures.config(kind).save_pretrained(tmp_path)
    assert "tokenizer at" in refused(tmp_path)


def test_a_tokenizer_with_tokens_that_have_no_row_is_refused(folder):
    sentence = refused(folder(vocab_size=40))
    assert "have no row in the embedding of 40: name one with model.tokenizer=FOLDER" in sentence


@pytest.mark.parametrize(("kind", "positions"), [("gpt2", 256), ("opt", 256), ("biogpt", 1024)])
def test_more_positions_than_a_table_has_are_refused_and_others_are_not(tmp_path, kind, positions):
    AutoConfig.for_model(kind, **{**architectures.SIZE, "max_position_embeddings": positions}).save_pretrained(tmp_path)
    spec = {"name": "m", "path": str(tmp_path), "device": "cpu"}
    assert find(ModelSpec(**spec, max_length=positions)).max_length == positions
    with pytest.raises(InputError, match=f"model.max_length={positions + 1} is more than the {positions} positions"):
        find(ModelSpec(**spec, max_length=positions + 1))


def test_positions_that_are_computed_have_no_end(tmp_path):
    architectures.config("llama").save_pretrained(tmp_path)
    assert find(ModelSpec(name="m", path=str(tmp_path), device="cpu", max_length=4096)).max_length == 4096

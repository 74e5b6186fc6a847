"""Model folders that lie, or that would run code."""

import json

import pytest

from harness.errors import InputError
from harness.models import find
from harness.models.spec import ModelSpec


@pytest.mark.parametrize("lie", [{"num_hidden_layers": -1}, {"num_attention_heads": 7}, {"hidden_size": "big"}])
def test_a_model_folder_whose_configuration_lies_is_refused_by_name(tmp_path, tiny, lie):
    told = json.loads((tiny / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**told, **lie}))
    with pytest.raises(InputError, match="liar"):
        find(ModelSpec(name="liar", path=str(tmp_path), device="cpu"))


def test_pickled_weights_are_refused_unless_asked_for(tmp_path, tiny):
    (tmp_path / "config.json").write_text((tiny / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    spec = {"name": "pickled", "path": str(tmp_path), "device": "cpu"}
    with pytest.raises(InputError, match="allow_pickle"):
        find(ModelSpec(**spec))
    assert find(ModelSpec(**spec, allow_pickle=True)).layers

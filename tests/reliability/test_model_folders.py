"""Model folders that lie, or that would run code."""

import json
import shutil

import pytest

from harness.__main__ import main
from harness.errors import InputError
from harness.hf import find
from harness.hf.spec import ModelSpec


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy of the tiny model, whose configuration can be given other values."""
    copied = tmp_path / "liar"

    def lying(**lies):
        shutil.copytree(tiny, copied)
        config = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps({**config, **lies}))
        return copied

    return lying


@pytest.mark.parametrize(
    "lie",
    [
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 0},
        {"num_attention_heads": 7},
        {"num_attention_heads": 0},
        {"hidden_size": "big"},
        {"vocab_size": None},
        {"max_position_embeddings": "x"},
        {"model_type": "lamma"},
        {"model_type": None},
    ],
    ids=str,
)
def test_a_configuration_that_makes_no_model_is_refused_by_name_before_weights(folder, lie):
    with pytest.raises(InputError, match="model 'liar'"):
        find(ModelSpec(name="liar", path=str(folder(**lie)), device="cpu"))


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ({"num_hidden_layers": 4}, "are not in its files"),
        ({"num_hidden_layers": 1}, "find no layer"),
        ({"vocab_size": 100}, "have another shape"),
        ({"hidden_size": 128}, "have another shape"),
        ({"num_key_value_heads": 4}, "have another shape"),
    ],
    ids=str,
)
def test_a_configuration_of_another_model_than_the_weights_is_refused_by_name(folder, lie, what):
    with pytest.raises(InputError, match=f"model 'liar': .* weights {what}"):
        find(ModelSpec(name="liar", path=str(folder(**lie)), device="cpu")).load()


def test_a_run_of_a_lying_folder_is_one_sentence(folder, tmp_path, capfd):
    given = [f"model.path={folder(num_hidden_layers=4)}", f"results={tmp_path / 'r'}", "data=embedded", "task=squad"]
    assert main(["run", "model=custom", *given, "methods=[dense]", "limit=1"]) == 2
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("harness: model 'custom': 18 weights are not in its files")


def test_pickled_weights_are_refused_unless_asked_for(tmp_path, tiny):
    (tmp_path / "config.json").write_text((tiny / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    spec = {"name": "pickled", "path": str(tmp_path), "device": "cpu"}
    with pytest.raises(InputError, match="allow_pickle"):
        find(ModelSpec(**spec))
    assert find(ModelSpec(**spec, allow_pickle=True)).layers


def test_code_of_a_model_folder_does_not_run_unless_asked_for(folder, tmp_path):
    mark = tmp_path / "ran"
    where = folder(model_type="evil", auto_map={"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"})
    (where / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    with pytest.raises(InputError, match="model 'evil'"):
        find(ModelSpec(name="evil", path=str(where), device="cpu"))
    assert not mark.exists()
    with pytest.raises(InputError, match="model 'evil'"):  # the file holds no class, but it is read now
        find(ModelSpec(name="evil", path=str(where), device="cpu", trust_remote_code=True))
    assert mark.exists()

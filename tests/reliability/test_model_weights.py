"""Weights that lie about themselves: their headers and indexes are judged before a number of them is read."""

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from support.model_folders import INDEX, WEIGHTS, copy_of, everything, lie, refused, sharded, spec

from harness.errors import InputError
from harness.hf import find
from harness.hf.located import Located
from harness.hf.vetting.weights import Held, held


class Ran:
    """Leaves a mark when it is read from a pickle."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def folder(tiny):
    """A copy of the tiny model."""
    with copy_of(tiny) as copied:
        yield copied


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """Is there once a pickle was read, even by a reader that runs nothing."""
    there = tmp_path / "ran"

    def load(*_, **__):
        there.touch()
        raise RuntimeError("a pickle was read")

    monkeypatch.setattr(torch, "load", load)
    return there


def test_pickled_weights_are_refused_unless_asked_for(tmp_path, tiny):
    (tmp_path / "config.json").write_text((tiny / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle" * 10**5)
    assert "allow_pickle" in refused(tmp_path)
    assert find(spec(tmp_path, allow_pickle=True)).layers


@pytest.mark.parametrize("beside", [False, True])
def test_an_index_that_names_a_pickle_opens_none(folder, mark, beside):
    sharded(folder, {"a": "w.bin", "b": "w.safetensors"} if beside else {"a": "w.bin"})
    (folder / "w.bin").write_bytes(pickle.dumps({"a": Ran(mark)}))
    (folder / "empty.safetensors").touch()
    assert f"its {INDEX} names 'w.bin', no .safetensors file beside it" in refused(folder)
    assert not mark.exists()


def test_pickles_that_were_asked_for_are_read_and_a_broken_one_is_one_sentence(folder, mark):
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Ran(mark)}))
    lie(folder, num_hidden_layers=1)
    sentence = refused(folder, everything, allow_pickle=True)
    assert sentence == "model 'liar': its weights cannot be read: a pickle was read"
    assert mark.exists()


@pytest.mark.parametrize(
    "named", ["../w.safetensors", "/etc/w.safetensors", "deep/w.safetensors", "..\\w.safetensors", "", "w.pt", 5, None]
)
def test_an_index_names_safetensors_beside_it_and_nothing_else(folder, named):
    assert f"names {named!r}, no .safetensors file beside it" in refused(sharded(folder, {"a": named}))


@pytest.mark.parametrize(
    "more", [{"weight_map": []}, {"weight_map": {}}, {"weight_map": None}, {"metadata": None}, {"metadata": [1]}]
)
def test_an_index_without_its_two_objects_is_refused(folder, more):
    assert "wants objects weight_map and metadata" in refused(sharded(folder, {"a": "w.safetensors"}, **more))


def test_an_index_that_names_a_weight_twice_is_refused(folder):
    sharded(folder, {})
    (folder / INDEX).write_text('{"metadata": {}, "weight_map": {"a": "w.safetensors", "a": "v.safetensors"}}')
    assert "it names 'a' twice" in refused(folder)


def test_a_part_that_is_missing_is_named(folder):
    sharded(folder, {"a": "w.safetensors", "b": "v.safetensors"})
    assert "its weights cannot be read: there is no v.safetensors in" in refused(folder)


def test_an_index_of_whole_parts_is_read(folder):
    with (folder / WEIGHTS).open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        names = json.loads(stream.read(size)).keys() - {"__metadata__"}
    assert everything(sharded(folder, dict.fromkeys(names, "w.safetensors")))


@pytest.mark.parametrize("named", ["../w.safetensors", "w.bin", "adapter_model.bin", 5, ["w.safetensors"], {}])
def test_a_configuration_names_weights_of_its_own_folder_and_nothing_else(folder, named):
    assert "which is no safetensors file of its folder" in refused(lie(folder, transformers_weights=named))


def header(**entries):
    """A safetensors file of 8 bytes of data, with these entries."""
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + bytes(8)


DAMAGED = {
    "empty": b"",
    "pickled": pickle.dumps({"a": 1}),
    "a header of 2^60 bytes": struct.pack("<Q", 2**60),
    "a header of no JSON": struct.pack("<Q", 3) + b"{a}",
    "a header that is a list": struct.pack("<Q", 2) + b"[]",
    "beyond its end": header(a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}),
    "before its start": header(a={"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}),
    "another length": header(a={"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}),
    "an overflow": header(a={"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}),
    "a type that is none": header(a={"dtype": "pickle", "shape": [2], "data_offsets": [0, 8]}),
    "twice the same bytes": header(**{key: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for key in "ab"}),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_named_before_anything_is_built(folder, damage):
    (folder / WEIGHTS).write_bytes(DAMAGED[damage])
    assert f"{WEIGHTS} is no whole safetensors file (" in refused(folder)


def test_a_file_that_was_cut_is_named(folder):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-1])
    assert f"{WEIGHTS} is no whole safetensors file (" in refused(folder)


def test_parts_of_a_distributed_training_are_refused(folder):
    (folder / "shard-00001-model-00001-of-00001.safetensors").touch()
    assert "holds parts of a distributed training" in refused(folder)


tensors = st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 3), max_size=3), max_size=4)


@settings(max_examples=60)
@given(shapes=tensors, at=st.integers(0, 400), byte=st.binary(max_size=4))
def test_a_file_holds_what_safetensors_wrote_or_is_refused(tmp_path_factory, shapes, at, byte):
    content = save({name: torch.zeros(shape) for name, shape in shapes.items()})
    folder = tmp_path_factory.getbasetemp()
    (folder / WEIGHTS).write_bytes(content[:at] + byte + content[at + len(byte) :])
    try:
        found = held("m", Located(str(folder)), pickled=False)
    except InputError as error:
        found = str(error)
    if (folder / WEIGHTS).read_bytes() == content:
        numbers = sum(torch.Size(shape).numel() for shape in shapes.values())
        assert found == Held(numbers, len(shapes))
    else:
        assert isinstance(found, Held) or found.startswith("model 'm': its weights cannot be read: ")


names = st.sampled_from(["w.safetensors", "../w.safetensors", "w.bin", "/w.safetensors"]) | st.integers() | st.none()
maps = st.dictionaries(st.text(max_size=2), names, max_size=3) | st.lists(names, max_size=2) | st.none()


@settings(max_examples=60)
@given(listed=maps, described=st.just({}) | st.none() | st.lists(st.integers(), max_size=1))
def test_any_index_leads_to_files_of_its_folder_or_to_one_sentence(tmp_path_factory, listed, described):
    folder = tmp_path_factory.getbasetemp() / "indexed"
    folder.mkdir(exist_ok=True)
    (folder / "w.safetensors").write_bytes(save({"a": torch.zeros(2)}))
    (folder / INDEX).write_text(json.dumps({"weight_map": listed, "metadata": described}))
    good = described == {} and isinstance(listed, dict) and {*listed.values()} == {"w.safetensors"}
    try:
        assert held("m", Located(str(folder)), pickled=False) == Held(2, 1)
        assert good
    except InputError as error:
        assert not good, error

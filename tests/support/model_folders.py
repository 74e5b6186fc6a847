"""Folders of models that lie: copies of the tiny one in which something is otherwise."""

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.hf import ModelSpec, find

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@contextmanager
def copy_of(tiny):
    """A copy of a folder, gone afterwards: for properties, of which every example needs one of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(tiny, Path(folder) / "liar"))


def lie(folder, file="config.json", **settings):
    """Let a file of JSON say something else; returns the folder."""
    said = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**said, **settings}))
    return folder


def sharded(folder, weight_map, /, **more):
    """Put an index in place of the weights, which are now in w.safetensors; returns the folder."""
    (folder / WEIGHTS).rename(folder / "w.safetensors")
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map, **more}))
    return folder


def spec(folder, **more):
    """Describe the model of a folder."""
    return ModelSpec(name="liar", path=str(folder), device="cpu", **more)


def everything(folder, **more):
    """Do with a model all that a run does before its first token."""
    checkpoint = find(spec(folder, **more))
    checkpoint.tokenizer()
    checkpoint.generation()
    checkpoint.fingerprint()
    checkpoint.tokenizer_fingerprint()
    checkpoint.ropes()
    return checkpoint.load()


def refused(folder, use=find, **more):
    """Return the sentence with which a folder is refused, by name."""
    with pytest.raises(InputError, match=r"^model 'liar': ") as refusal:
        use(spec(folder, **more)) if use is find else use(folder, **more)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)

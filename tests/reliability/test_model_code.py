"""Code that comes with a model, or that it names on the hub, never runs unless it is trusted."""

import json
from types import SimpleNamespace

import pytest
from support import architectures
from support.model_folders import copy_of, everything, lie, refused, spec
from transformers.integrations import hub_kernels

from harness.errors import InputError
from harness.hf import find
from harness.hf.vetting.settings import CODE, forget_code

KERNEL = "somebody/kernel:fn"
NAMED = [
    {"attn_implementation": KERNEL},
    {"_attn_implementation": KERNEL},
    {"_attn_implementation_internal": KERNEL},
    {"attn_implementation": "kernels-community/flash-attn2"},
    {"attn_implementation": {"": KERNEL}},
    {"experts_implementation": KERNEL},
    {"_experts_implementation": "sonicmoe"},
    {"fusion_config": {"somebody": True}},
    {"use_kernels": True, "kernel_config": {"kernel_mapping": {"RMSNorm": KERNEL}}},
]


@pytest.fixture
def folder(tiny):
    """A copy of the tiny model."""
    with copy_of(tiny) as copied:
        yield copied


@pytest.fixture
def fetched(monkeypatch):
    """Names of kernels that were asked for; none is fetched."""
    asked = []

    def get_kernel(name, *_, **__):
        asked.append(name)
        raise ValueError("no kernel is fetched in a test")

    monkeypatch.setattr(hub_kernels, "get_kernel", get_kernel)
    monkeypatch.setattr(hub_kernels, "is_kernels_available", lambda *_, **__: True)
    return asked


@pytest.mark.parametrize("named", NAMED, ids=str)
def test_a_kernel_that_a_configuration_names_is_not_fetched_and_the_model_is_as_without(folder, fetched, named):
    before = everything(folder).state_dict()
    after = everything(lie(folder, **named)).state_dict()
    assert fetched == []
    assert all((after[key] == weight).all() for key, weight in before.items())


def test_a_kernel_of_a_trusted_model_is_asked_for(folder, fetched):
    lie(folder, attn_implementation=KERNEL)
    assert "no kernel is fetched in a test" in refused(folder, trust_remote_code=True)
    assert fetched == ["somebody/kernel"]


@pytest.mark.parametrize("inner", ["text_config", "vision_config"])
def test_a_kernel_that_a_part_of_a_configuration_names_is_not_fetched(tmp_path, fetched, inner):
    config = architectures.config("gemma3_text").to_dict() | {"head_dim": 16}
    parts = {"text_config": config, "vision_config": {"model_type": "siglip_vision_model", "num_hidden_layers": 1}}
    parts[inner] = {**parts[inner], "_attn_implementation": KERNEL, "auto_map": {"AutoModel": "somebody/code--m.M"}}
    said = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], **parts}
    (tmp_path / "config.json").write_text(json.dumps(said))
    found = find(spec(tmp_path, random_weights=True))
    assert fetched == []
    assert not hasattr(getattr(found.config, inner), "auto_map")


@pytest.mark.parametrize("key", sorted(CODE | {"auto_map"}))
def test_what_chooses_code_is_forgotten_at_every_level(key):
    attributes = {"a": 1, "parts": [{key: KERNEL}, ({key: KERNEL},)]}
    part = SimpleNamespace(**{key: KERNEL}, to_dict=None)
    held = {"x": {"y": {key: KERNEL, "z": 5}}, "part": part, **attributes}
    forget_code(held)
    assert KERNEL not in repr(held) + repr(vars(part))
    assert (held["a"], held["x"]["y"]["z"]) == (1, 5)


def test_code_of_a_model_folder_does_not_run_unless_asked_for(folder, tmp_path):
    mark = tmp_path / "ran"
    lie(folder, model_type="evil", auto_map={"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"})
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    refused(folder)
    assert not mark.exists()
    refused(folder, trust_remote_code=True)  # the file holds no class, but it is read now
    assert mark.exists()


@pytest.mark.parametrize("named", [["evil.Evil", None], [None, "evil.Evil"], {"AutoTokenizer": ["evil.Evil", None]}])
def test_code_of_a_tokenizer_does_not_run_unless_asked_for(folder, tmp_path, named):
    mark = tmp_path / "ran"
    lie(folder, "tokenizer_config.json", tokenizer_class="Evil", auto_map=named)
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    try:
        everything(folder)
    except InputError as error:
        assert "no usable tokenizer at" in str(error)
    assert not mark.exists()


def test_code_of_generation_does_not_run(folder, tmp_path):
    mark = tmp_path / "ran"
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    lie(folder, "generation_config.json", custom_generate=str(folder))
    everything(folder)
    assert not mark.exists()

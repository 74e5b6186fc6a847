"""Configurations of model folders that lie: each is refused in one sentence, before memory is taken for it."""

import contextlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_folders import copy_of, everything, lie, refused, spec
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from harness.__main__ import main
from harness.errors import InputError
from harness.hf import find
from harness.hf.vetting.json_files import MOST_LEVELS, read_object
from harness.hf.vetting.settings import MOST, MOST_LISTED, check_settings, forget_code

SIZES = """hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim vocab_size
max_position_embeddings rms_norm_eps rope_theta initializer_range num_labels eos_token_id dtype layer_types
rope_parameters hidden_act tie_word_embeddings architectures pad_token_id sliding_window""".split()
ODD = [-1, 0, 7, 1.5, 2**16, 2**31, 10**12, 10**300, 1e308, math.inf, -math.inf, "", "big", "load", None, True, [], {}]
ODD += [[1], {"rope_type": "yarn"}, {"a": {"b": []}}]


@pytest.fixture
def folder(tiny):
    """A copy of the tiny model."""
    with copy_of(tiny) as copied:
        yield copied


@pytest.mark.parametrize(
    "said",
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
        {"dtype": "load"},
    ],
    ids=str,
)
def test_a_configuration_that_makes_no_model_is_refused_by_name_before_weights(folder, said):
    refused(lie(folder, **said))


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"num_hidden_layers": 4}, "are not in its files"),
        ({"num_hidden_layers": 1}, "find no layer"),
        ({"vocab_size": 100}, "have another shape"),
        ({"hidden_size": 128}, "have another shape"),
        ({"num_key_value_heads": 4}, "have another shape"),
    ],
    ids=str,
)
def test_a_configuration_of_another_model_than_the_weights_is_refused_by_name(folder, said, what):
    with pytest.raises(InputError, match=f"model 'liar': .* weights {what}"):
        find(spec(lie(folder, **said))).load()


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers=1000000000, which is more than 65,536"),
        ({"num_hidden_layers": 2**16}, "more than 680 modules, as no such model, or none of these weights, has"),
        (
            {"vocab_size": 10**12},
            "more than 4,398,046,511,104 numbers .up to weight of shape .1000000000000, 64...",
        ),
        ({"vocab_size": 10**7}, "describes 1,280,061,760 numbers, its weights hold 112,960"),
        ({"intermediate_size": 10**6}, "describes 384,076,096 numbers, its weights hold 112,960"),
        ({"num_labels": 10**9}, "num_labels=1000000000, which is more than 65,536"),
        ({"text_config": {"n_layer": 10**9}}, "text_config.n_layer=1000000000, which is more than 65,536"),
        (
            {"max_position_embeddings": 10**20},
            "max_position_embeddings=10*, which is more than 9,007,",
        ),
        ({"rms_norm_eps": math.nan}, "rms_norm_eps=nan, which is no number"),
    ],
    ids=str,
)
def test_sizes_beyond_any_model_or_beyond_the_weights_are_named_before_memory_is_taken(folder, said, what):
    with pytest.raises(InputError, match=f"model 'liar': .*{what}"):
        everything(lie(folder, **said))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[]", "it holds a list in place of an object"),
        (b'{"a": 1, "a": 2}', "it names 'a' twice"),
        (b'\xef\xbb\xbf{"a": 1}', "Unexpected UTF-8 BOM"),
        (b"\xff\xfe{}", "'utf-8' codec can't decode byte 0xff"),
        (b'{"a":' + b"[" * 100_000, f"it has more than {MOST_LEVELS} levels"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", f"it has more than {MOST_LEVELS} levels"),
        (b'{"a": ' + b"9" * 5000 + b"}", "it has a number of too many digits"),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_json_that_libraries_might_read_in_different_ways_is_refused_by_file(folder, file, content, why):
    (folder / file).write_bytes(content)
    assert f"its {file} cannot be read ({why}" in refused(folder, everything)


@pytest.mark.parametrize("named", [5, [5], ["config.1/../../x.json"], ["config.999.json", "config.1.0.json"], {"a": 1}])
def test_other_files_that_a_configuration_names_are_its_own_and_there(folder, named):
    lie(folder, configuration_files=named)
    try:
        everything(folder)
    except InputError as error:
        assert "its config.json cannot be followed (" in str(error)


@settings(max_examples=40)
@given(said=st.dictionaries(st.sampled_from(SIZES), st.sampled_from(ODD), min_size=1, max_size=3))
def test_whatever_a_configuration_says_it_is_a_model_or_one_sentence(tiny, said):
    with copy_of(tiny) as folder:
        try:
            everything(lie(folder, **said))
        except InputError as error:
            assert str(error).startswith("model 'liar': ")


keys = st.sampled_from(["hidden_size", "num_hidden_layers", "a", "text_config"])
moderate = st.none() | st.integers(-MOST_LISTED, MOST_LISTED) | st.floats(-1e4, 1e4) | st.just(math.inf) | st.just("x")
nested = st.recursive(moderate, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2))
without_measure = st.sampled_from([MOST + 1, -MOST - 1, 10**30, math.nan])


@given(said=st.dictionaries(keys, nested), number=without_measure, path=st.lists(keys | st.none(), max_size=5))
def test_a_number_without_measure_is_found_wherever_it_stands(said, number, path):
    check_settings("m", said)
    hidden = number
    for key in path:  # of an object, or an entry of a list
        hidden = [hidden] if key is None else {key: hidden}
    with pytest.raises(InputError, match=r"^model 'm': its config\.json says .*=(-?\d+|nan|10*)"):
        check_settings("m", {**said, "found": hidden})


@given(content=nested.map(json.dumps).map(str.encode) | st.binary(max_size=30), cut=st.integers(0, 30))
def test_any_bytes_are_an_object_or_one_sentence(tmp_path_factory, content, cut):
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_bytes(content[:cut])
    try:
        found = read_object("m", file)
    except InputError as error:
        found = str(error)
    refusal = isinstance(found, str) and found.startswith("model 'm': its any.json cannot be read (")
    assert refusal or found == json.loads(content[:cut])


def defaults():
    """Every language model's configuration as transformers makes it of nothing, where that is a valid one."""
    for kind in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        with contextlib.suppress(Exception):
            yield kind, AutoConfig.for_model(kind)


@pytest.mark.filterwarnings("ignore")  # of configurations that are about to change
def test_no_kind_of_language_model_is_immoderate_or_loses_a_setting_where_no_code_is_named():
    changed = []
    for kind, config in defaults():
        before = config.to_json_string(use_diff=False)
        check_settings(kind, config.to_dict())
        forget_code(vars(config))
        changed += [kind] if config.to_json_string(use_diff=False) != before else []
    assert changed == []


def test_a_run_of_a_lying_folder_is_one_sentence(folder, tmp_path, capfd):
    lie(folder, num_hidden_layers=4)
    asked = [f"model.path={folder}", f"results={tmp_path / 'r'}", "data=embedded", "task=squad"]
    assert main(["run", "model=custom", *asked, "methods=[dense]", "limit=1"]) == 2
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("harness: model 'custom': 18 weights are not in its files")

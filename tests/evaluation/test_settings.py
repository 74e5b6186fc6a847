"""Settings of a generation are honoured or refused by name, those of a task and those of a checkpoint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.models.utils import normalize_gen_kwargs
from transformers import GenerationConfig

from harness.engine import Rule, Sampling
from harness.errors import InputError
from harness.evaluation.setting_names import HONOURED, IDLE, INERT, LENGTHS, WARPERS
from harness.evaluation.settings import Asked, choose_rule, read_settings

DRAWN = {"do_sample": True, "temperature": 0.7}
OF_TRANSFORMERS = {
    "num_beams": 4,
    "no_repeat_ngram_size": 2,
    "max_length": 30,
    "min_length": 3,
    "bad_words_ids": [[3]],
    "suppress_tokens": [3],
    "begin_suppress_tokens": [3],
    "sequence_bias": {(3,): 1.0},
    "guidance_scale": 1.5,
    "forced_bos_token_id": 3,
    "forced_eos_token_id": 3,
    "exponential_decay_length_penalty": [3, 1.1],
    "stop_strings": ["x"],
    "max_time": 1.0,
    "num_return_sequences": 2,
}
ON_SAMPLING = {"typical_p": 0.9, "epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "top_h": 0.5}


def rule(settings, model=None, ends=frozenset([2])):
    return choose_rule(read_settings(settings).settings, model or {}, ends)


@given(st.dictionaries(st.sampled_from(LENGTHS), st.integers(1, 99)), st.sampled_from([None, "x", ["x", "y"], []]))
def test_lengths_and_stop_strings_are_read_as_lm_eval_reads_them(lengths, until):
    settings = {**lengths, **({} if until is None else {"until": until})}
    wanted = normalize_gen_kwargs(settings)
    found = read_settings(settings)
    assert (found.max_new, list(found.until)) == (wanted["max_gen_toks"], wanted["until"])


@given(
    st.fixed_dictionaries(
        {}, optional={"do_sample": st.booleans(), "temperature": st.sampled_from([0, 0.0, 0.5, 1, 2])}
    )
)
def test_tokens_are_drawn_where_lm_eval_draws_them(settings):
    wanted = normalize_gen_kwargs(settings)
    if wanted["do_sample"] and not wanted.get("temperature"):
        with pytest.raises(InputError, match="without a temperature above 0"):  # as transformers does
            read_settings(settings)
    else:
        assert ("do_sample" in read_settings(settings).settings) == wanted["do_sample"]


@pytest.mark.parametrize(("name", "value"), OF_TRANSFORMERS.items())
def test_a_setting_that_is_not_honoured_is_refused_by_name_whoever_sets_it(name, value):
    with pytest.raises(InputError, match=f"it asks for {name}="):
        read_settings({name: value})
    if name != "max_length":  # over which lm-eval lays the task's length
        with pytest.raises(InputError, match=rf"generation_config\.json sets {name}=.* remove it there"):
            rule({}, {name: value})


@pytest.mark.parametrize(("name", "value"), ON_SAMPLING.items())
def test_a_setting_of_sampling_that_is_not_honoured_is_refused_where_tokens_are_drawn(name, value):
    assert rule({name: value}, {name: value}) is None
    with pytest.raises(InputError, match=f"it asks for {name}="):
        read_settings({**DRAWN, name: value})
    with pytest.raises(InputError, match=f"sets {name}="):
        rule(DRAWN, {name: value})


def test_settings_at_the_values_that_do_nothing_do_nothing():
    idle = {name: values[0] for name, values in INERT.items() if values} | dict.fromkeys(IDLE, True)
    idle |= {"repetition_penalty": 1.0, "top_p": 0.5, "temperature": 0.0, "max_time": None}
    assert read_settings(idle).settings == {"repetition_penalty": 1.0}
    assert rule(idle) is None


def test_every_setting_of_transformers_is_known():
    unused = {
        "cache_implementation",
        "cache_config",
        "max_cache_len",
        "return_legacy_cache",
        "prefill_chunk_size",
    }  # of its own caches
    unused |= {"compile_config", "disable_compile", "transformers_version", "output_attentions", "output_scores"}
    unused |= {"output_hidden_states", "output_logits", "return_dict_in_generate", "continuous_batching_config"}
    unused |= {"bos_token_id", "eos_token_id", "decoder_start_token_id", "is_assistant"}
    unused |= {"num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"}
    unused |= {
        "max_matching_ngram_size",
        "assistant_early_exit",
        "assistant_lookbehind",
        "target_lookbehind",
        "assistant_ensemble_weight",
    }
    ours = {*HONOURED, *INERT, *WARPERS, *IDLE, *LENGTHS}
    assert {name for name in GenerationConfig().to_dict() if not name.startswith("_")} - unused <= ours


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(InputError, match=r"max_toks=3, which is no setting of a generation: .*max_gen_toks"):
        read_settings({"max_toks": 3})


def test_the_task_s_settings_are_laid_over_the_checkpoint_s_which_do_not_make_it_sample():
    model = {"do_sample": True, "temperature": 0.1, "top_k": 7, "top_p": 0.8, "repetition_penalty": 1.2}
    assert rule({}, model) == Rule(repetition_penalty=1.2)
    assert rule({"repetition_penalty": 1.0}, model) is None
    assert rule({**DRAWN, "top_p": 0.5}, model) == Rule(1.2, sampling=Sampling(0.7, top_k=7, top_p=0.5))
    assert rule(DRAWN) == Rule(sampling=Sampling(0.7, top_k=50))  # transformers' own
    assert rule({"min_new_tokens": 4}, {"min_new_tokens": 9}) == Rule(at_least=4, ends=frozenset([2]))


BOUNDS = {"temperature": [-1, "x", True], "top_k": [-1, 1.5], "top_p": [1.1, -0.1, float("nan")], "min_p": [2]}
BOUNDS |= {"repetition_penalty": [0, -1], "min_new_tokens": [-1, 0.5], "max_gen_toks": [0, 2.5, [3], float("inf")]}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BOUNDS.items() for value in values])
def test_a_number_that_cannot_be_meant_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"it asks for {name}=.*, which must be a"):
        read_settings({**DRAWN, name: value})


def anything():
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    return plain | st.lists(plain, max_size=2)


@given(st.dictionaries(st.sampled_from([*HONOURED, *INERT, *WARPERS, *IDLE, *LENGTHS, "until", "x"]), anything()))
def test_any_settings_are_read_or_refused_in_a_sentence(settings):
    try:
        assert isinstance(read_settings(settings), Asked)
    except InputError as error:
        assert str(error)
        assert "\n" not in str(error)

"""Dense decoding of the tiny model gives what lm-eval's own hf backend gives, or is refused in a sentence."""

import json
import shutil
from pathlib import Path

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.errors import InputError
from harness.evaluation.lm_eval_model import HarnessLM
from harness.hf import ModelSpec, find
from harness.methods import create
from harness.methods.cell import Cell

CONTEXTS = ["Orla has a mill.", "At the feast Beric sold a red lantern to Alda, and then", "<s>The"]
LONG = "Alda met Beric at the mill before the feast, and sold a red lantern. " * 3


@pytest.fixture(params=["plain", "adds_bos", "adds_bos_and_eos"])
def folder(request, tiny, tmp_path):
    """A copy of the tiny checkpoint, whose tokenizer adds special tokens or none."""
    made = Path(shutil.copytree(tiny, tmp_path / "model"))
    if request.param != "plain":
        tokenizer = AutoTokenizer.from_pretrained(made)
        template = "<s> $A" if request.param == "adds_bos" else "<s> $A </s>"
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(template, None, [("<s>", 0), ("</s>", 1)])
        tokenizer.save_pretrained(made)
    return made


def asked(kind, *arguments):
    """Requests of one document each."""
    return [Instance(kind, {"id": i}, one, 0, metadata=("t", i, 1)) for i, one in enumerate(arguments)]


def harness_lm(folder, max_length=1024, batch_size=2, **more):
    spec = ModelSpec(name="tiny", path=str(folder), max_length=max_length, device="cpu")
    return HarnessLM(find(spec), Cell.of("dense", create("dense")), batch_size, **more)


def both(folder, requests, max_length=1024, batch_size=2):
    """(ours, theirs): the answers of the two backends."""
    kind = requests[0].request_type
    model = AutoModelForCausalLM.from_pretrained(folder)
    theirs = HFLM(
        pretrained=model,
        tokenizer=AutoTokenizer.from_pretrained(folder),
        max_length=max_length,
        batch_size=batch_size,
    )
    ours = harness_lm(folder, max_length, batch_size)
    return getattr(ours, kind)(requests), getattr(theirs, kind)(requests)


def generation_config(folder, **settings):
    (folder / "generation_config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize("max_length", [1024, 40, 17])
def test_rolling_likelihoods_are_hf_s(folder, max_length):
    ours, theirs = both(folder, asked("loglikelihood_rolling", (LONG,), ("A mill",), (LONG[:90],)), max_length)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("max_length", [1024, 12])
def test_likelihoods_of_continuations_are_hf_s(folder, max_length):
    pairs = [(context, f" {word}") for context in CONTEXTS for word in ("the mill", "Orla")]
    ours, theirs = both(folder, asked("loglikelihood", *pairs, ("", "Orla"), ("", "<s>Orla")), max_length)
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]
    assert [value for value, _ in ours] == pytest.approx([value for value, _ in theirs], rel=1e-4)


SETTINGS = {
    "nothing": {},
    "max_tokens": {"max_tokens": 5},
    "max_completion_tokens": {"max_completion_tokens": 3},
    "the_first_name_of_a_length": {"max_new_tokens": 7, "max_tokens": 5},
    "an_empty_stop_string": {"until": [""], "max_gen_toks": 9},
    "an_empty_stop_string_among_others": {"until": ["e", ""], "max_gen_toks": 9},
    "a_bare_empty_stop_string": {"until": "", "max_gen_toks": 9},
    "stop_strings": {"until": ["a", "e", "the"], "max_gen_toks": 30},
    "temperature_0": {"temperature": 0.0, "do_sample": False, "top_p": 0.5, "max_gen_toks": 9},
    "temperature_without_sampling": {"temperature": 0.7, "do_sample": False, "max_gen_toks": 9},
    "repetition_penalty": {"repetition_penalty": 1.3, "max_gen_toks": 20},
    "drawn_from_one_token": {"do_sample": True, "temperature": 0.7, "top_k": 1, "max_gen_toks": 9},
    "inert": {"num_beams": 1, "no_repeat_ngram_size": 0, "max_gen_toks": 9},
}


@pytest.mark.parametrize("max_length", [1024, 50])
def test_generated_texts_are_hf_s_under_every_setting(folder, max_length):
    given = {name: {"max_gen_toks": 12, **settings} for name, settings in SETTINGS.items()}
    given |= {
        name: settings for name, settings in SETTINGS.items() if {"max_tokens", "max_completion_tokens"} & {*settings}
    }
    contexts = [*CONTEXTS[:2], LONG]
    requests = asked("generate_until", *((context, dict(one)) for one in given.values() for context in contexts))
    ours, theirs = ([said[i : i + 3] for i in range(0, len(said), 3)] for said in both(folder, requests, max_length))
    assert dict(zip(given, ours, strict=True)) == dict(zip(given, theirs, strict=True))
    assert all(any(texts) for texts in ours)


def test_a_text_ends_at_any_token_that_the_checkpoint_s_files_name(folder):
    requests = asked("generate_until", *((context, {"max_gen_toks": 12}) for context in CONTEXTS))
    (before, _), tokenizer = both(folder, requests), AutoTokenizer.from_pretrained(folder)
    ends = [token for text in before[:2] for token in tokenizer(text, add_special_tokens=False).input_ids[2:]]
    generation_config(folder, eos_token_id=[1, *ends])
    ours, theirs = both(folder, requests)
    assert ours == theirs
    assert ours != before
    generation_config(folder, eos_token_id=[1, *ends], min_new_tokens=5)
    later, theirs = both(folder, requests)
    assert later == theirs
    assert later != ours


def test_the_checkpoint_s_settings_count_where_the_task_says_nothing(folder):
    requests = asked("generate_until", *((context, {"max_gen_toks": 12}) for context in CONTEXTS))
    before, _ = both(folder, requests)
    generation_config(folder, eos_token_id=1, repetition_penalty=1.5, do_sample=True, temperature=0.6, max_new_tokens=9)
    ours, theirs = both(folder, requests)
    assert ours == theirs
    assert ours != before


def test_a_setting_of_the_checkpoint_that_is_not_honoured_is_refused_by_name(folder):
    generation_config(folder, eos_token_id=1, no_repeat_ngram_size=2)
    with pytest.raises(InputError, match="no_repeat_ngram_size=2"):
        both(folder, asked("generate_until", ("x", {})))


def test_each_time_that_a_request_is_asked_other_tokens_are_drawn_by_the_seed(tiny):
    drawn = {"do_sample": True, "temperature": 1.5, "max_gen_toks": 12}
    (request,), (greedy,) = asked("generate_until", ("The mill", drawn)), asked("generate_until", ("The mill", {}))
    answers = harness_lm(tiny).generate_until([request] * 4)
    assert len(set(answers)) == 4
    assert harness_lm(tiny).generate_until([request] * 4) == answers
    assert not set(harness_lm(tiny, seed=1).generate_until([request] * 4)) & set(answers)
    assert len(set(harness_lm(tiny).generate_until([greedy] * 2))) == 1

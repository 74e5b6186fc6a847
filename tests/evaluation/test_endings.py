"""Where a generated text ends, and what of it is its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.models.utils import postprocess_generated_text
from support.characters import EOS, Characters, ids, prompt, request
from transformers import AutoTokenizer

from harness.evaluation.endings import Ending
from harness.evaluation.prompts import Encoder
from harness.hf import Generation


@pytest.fixture(scope="module")
def tiny_tokenizer(tiny):
    """Of the tiny checkpoint: byte pairs, so that a character may be several tokens."""
    return AutoTokenizer.from_pretrained(tiny)


def test_a_generation_ends_at_a_stop_string_or_the_end_of_text():
    finished = prompt(request("generate", context="x", max_new=30, until=("\n\n", "END"))).finished
    assert not finished(list(ids("one\ntwo")))
    assert finished(list(ids("one\n\n")))
    assert finished(list(ids("the END of")))
    assert finished([*ids("one"), EOS])
    assert not prompt(request("generate", context="x", max_new=30)).finished(list(ids("\n\n")))


@given(
    st.text(alphabet="xyEND\n", min_size=1, max_size=60), st.lists(st.text(alphabet="xEND\n", min_size=1), max_size=3)
)
def test_a_generation_ends_at_the_token_that_completes_a_stop_string(text, stops):
    finished = prompt(request("generate", context="x", max_new=30, until=tuple(stops))).finished
    ended = [n for n in range(1, len(text) + 1) if any(stop in text[:n] for stop in stops)]
    found = [n for n in range(1, len(text) + 1) if finished(list(ids(text[:n])))]
    assert found[:1] == ended[:1]


def test_every_token_that_a_checkpoint_s_files_name_ends_a_text():
    encoder = Encoder(Characters(), 100, Generation(ends=frozenset([7, 8])))
    (found,) = encoder.prompts(request("generate", context="x", max_new=30))
    assert [token for token in range(10) if found.finished([50, token])] == [EOS, 7, 8]


@given(st.text(alphabet="abc", max_size=12), st.lists(st.text(alphabet="abc", max_size=3), max_size=4))
def test_a_text_is_cut_as_lm_eval_cuts_it(text, stops):
    found = Encoder(Characters(), 100).text(request("generate", until=tuple(stops)), list(ids(text)))
    assert found == postprocess_generated_text(text, stops, None)


def test_special_tokens_stay_in_the_text_where_they_are_kept():
    encoder, tokens = Encoder(Characters(), 100), [*ids("one"), EOS, *ids("two")]
    assert encoder.text(request("generate", length_of=("x",), keeps_special=True), tokens) == "one<2>two"
    assert encoder.text(request("generate"), tokens) == "onetwo"


def test_text_is_cut_before_the_first_stop_string():
    encoder = Encoder(Characters(), 100)
    asked = request("generate", until=("\n\n", "END"))
    assert encoder.text(asked, [*ids("one END two\n\n"), EOS]) == "one "
    assert encoder.text(asked, [*ids("\n\none END")]) == ""
    assert encoder.text(request("generate"), [*ids("one END"), EOS]) == "one END"


@given(
    st.text(alphabet="ab \n漢é🙂", min_size=1, max_size=40),
    st.lists(st.text("a \n漢🙂", min_size=1, max_size=4), max_size=3),
)
def test_a_stop_string_ends_a_text_of_bytes_at_the_token_that_completes_it(tiny_tokenizer, text, stops):
    tokens = tiny_tokenizer(text, add_special_tokens=False).input_ids
    ending = Ending(tiny_tokenizer, frozenset(), tuple(stops))
    wanted = [any(stop in tiny_tokenizer.decode(tokens[:n]) for stop in stops) for n in range(1, len(tokens) + 1)]
    found = [ending.finished(tokens[:n]) for n in range(1, len(tokens) + 1)]
    assert found.index(True) == wanted.index(True) if True in wanted else not any(found)

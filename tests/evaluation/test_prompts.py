"""From a task's text to token ids. The tokenizer here gives a token per character, and special tokens of its own."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.characters import BOS, EOS, Characters, ids, prompt, request, score

from harness.errors import InputError
from harness.evaluation.prompts import Encoder
from harness.hf import Generation


def test_together_the_continuation_is_what_the_whole_has_more_than_the_context():
    found = score("xy", "z!")
    assert found.tokens == (BOS, *ids("xy"))
    assert found.forced == ids("z!")
    merged = score("xa", "bc")
    assert merged.tokens == (BOS, *ids("xa"))
    assert merged.forced == ids("c")


def test_separately_the_continuation_keeps_its_own_tokens():
    found = score("xa", "bc", separately=True)
    assert found.tokens == (BOS, *ids("xa"))
    assert found.forced == ids("bc")


def test_trailing_spaces_of_the_context_go_to_the_continuation():
    found = score("xy  ", "z")
    assert found.tokens == (BOS, *ids("xy"))
    assert found.forced == ids("  z")
    kept = score("xy  ", "z", separately=True)
    assert (kept.tokens, kept.forced) == ((BOS, *ids("xy  ")), ids("z"))


@pytest.mark.parametrize("context", ["", "  "])
@pytest.mark.parametrize(("bos", "start"), [(BOS, BOS), (None, EOS)])
def test_an_empty_context_is_the_start_of_text(context, bos, start):
    found = prompt(request("score", context=context, continuation="z"), bos=bos)
    assert found.tokens == (start,)
    assert found.forced == ids(context + "z")


def test_a_continuation_without_tokens_is_refused():
    with pytest.raises(InputError, match="t example e: its continuation has no token"):
        score("x", "")


def test_a_prompt_is_cut_on_the_left_to_leave_room():
    text = "0123456789"
    assert prompt(request("generate", context=text, max_new=3), max_length=9).tokens == ids("456789")
    assert prompt(request("generate", context=text, max_new=3, reserve=5), max_length=9).tokens == ids("6789")
    scored = prompt(request("score", context=text, continuation="xyz"), max_length=9)
    assert (scored.tokens, scored.forced) == (ids("3456789"), ids("xyz"))  # the last token of all takes no position
    reserved = prompt(request("score", context=text, continuation="xyz", reserve=7), max_length=9)
    assert (reserved.tokens, reserved.forced) == (ids("89"), ids("xyz"))
    assert prompt(request("generate", context=text, max_new=3), max_length=14).tokens == (BOS, *ids(text))


@pytest.mark.parametrize("room", [1, 2, 10, 11])
@pytest.mark.parametrize(("bos", "count"), [(BOS, 11), (None, 10)])
def test_where_special_tokens_are_kept_a_prompt_that_is_cut_keeps_its_start_token(room, bos, count):
    text = "0123456789"
    found = prompt(request("generate", context=text, max_new=3, keeps_special=True), room + 3, bos)
    start = () if bos is None else (BOS,)
    assert found.tokens == (*start, *ids(text[max(0, 10 - room + len(start)) :]))
    assert found.lost == max(0, count - room)
    assert len(found.tokens) + found.lost == count


@pytest.mark.parametrize("kind", ["generate", "score", "roll"])
def test_a_start_token_that_stands_in_the_text_is_not_doubled(kind):
    said = {"context": "<1>xy", "continuation": "z"} if kind != "roll" else {"continuation": "<1>xyz"}
    found = prompt(request(kind, max_new=3, **said))
    whole = (*found.tokens, *(found.forced or ids("z")))
    assert whole == ((BOS, BOS, *ids("xyz")) if kind == "roll" else (BOS, *ids("xyz")))  # of the roll, one is scored


def test_a_continuation_that_begins_with_the_start_token_is_its_own_context():
    found = score("", "<1>xy")
    assert (found.tokens, found.forced) == ((BOS,), ids("xy"))


def test_a_text_without_a_token_before_it_is_refused():
    nothing = Characters(None)
    nothing.eos_token_id = None
    for asked in (request("roll", continuation="x"), request("score", continuation="x"), request("generate")):
        with pytest.raises(InputError, match="the tokenizer has neither"):
            Encoder(nothing, 100).prompts(asked)
    (found,) = Encoder(nothing, 100).prompts(request("generate", context="x", max_new=2))
    assert found.tokens == ids("x")


def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers():
    with pytest.raises(InputError, match="needs 9 positions after its prompt, the model has 9"):
        prompt(request("generate", context="x", max_new=9), max_length=9)


def test_the_length_of_a_generation_follows_the_longest_reference():
    asked = request("generate", context="x", max_new=30, length_of=("abc", "wxyz"), length_plus=5)
    assert prompt(asked).new_tokens == 9  # wxyz has 4 tokens, abc 2
    assert prompt(dataclasses.replace(asked, max_new=7)).new_tokens == 7
    assert prompt(asked).finished is None
    assert prompt(request("generate", context="x", max_new=30)).new_tokens == 30


def test_a_checkpoint_s_own_number_of_new_tokens_wins_where_it_fits():
    encoder = Encoder(Characters(), 20, Generation(settings={"max_new_tokens": 9}))
    (found,) = encoder.prompts(request("generate", context="x" * 11, max_new=3))
    assert (len(found.tokens), found.new_tokens) == (12, 9)
    with pytest.raises(InputError, match=r"max_new_tokens=9 .* behind 13 tokens into 20 positions"):
        encoder.prompts(request("generate", context="x" * 12, max_new=3))
    (paper,) = encoder.prompts(request("generate", context="x" * 12, max_new=3, length_of=("yy",)))
    assert paper.new_tokens == 2


@given(st.text(alphabet="xyz ", max_size=60), st.integers(3, 20), st.sampled_from([BOS, None]))
def test_windows_of_a_rolling_text_are_lm_evals(text, max_length, bos):
    tokenizer = Characters(bos)
    prompts = Encoder(tokenizer, max_length).prompts(request("roll", continuation=text))
    tokens = list(tokenizer(text).input_ids)  # with the start token, which lm-eval scores too
    assert tuple(token for one in prompts for token in one.forced) == tuple(tokens)
    known = [EOS if bos is None else BOS, *tokens]
    position = 0
    for one in prompts:
        seen = known[: position + 1][-(max_length + 1 - len(one.forced)) :]  # all that fits before what is scored
        assert one.tokens == tuple(seen)
        position += len(one.forced)
        assert len(one.tokens) + len(one.forced) - 1 <= max_length
    assert [one.part for one in prompts] == list(range(len(prompts)))
    assert len({one.key for one in prompts}) == len(prompts)


def test_the_key_changes_with_all_that_the_answer_depends_on_and_nothing_else():
    asked = request("generate", context="x", max_new=3)
    assert dataclasses.replace(asked, target="gold").key == asked.key
    changes = [{"context": "y"}, {"max_new": 4}, {"until": ("z",)}, {"reserve": 1}, {"kind": "score"}, {"example": "f"}]
    changes += [{"continuation": "z"}, {"separately": True}, {"length_of": ("q",)}, {"length_plus": 1}, {"task": "u"}]
    changes += [{"settings": {"repetition_penalty": 1.1}}, {"keeps_special": True}, {"seed": 1}, {"repeat": 1}]
    keys = {dataclasses.replace(asked, **change).key for change in changes}
    assert len(keys | {asked.key}) == len(changes) + 1

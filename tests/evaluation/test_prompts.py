"""From a task's text to token ids. The tokenizer here gives a token per character, and special tokens of its own."""

import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.evaluation.prompts import Encoder
from harness.evaluation.requests import Request

BOS, EOS = 1, 2


class Characters:
    """One token per character, but "ab" is one (a merge across the boundary of context and continuation)."""

    eos_token_id = EOS

    def __init__(self, bos=BOS):
        self.bos_token_id = bos

    def __call__(self, text, add_special_tokens=True):
        start = [BOS] if add_special_tokens and self.bos_token_id is not None else []
        ids = [1000 if c == "\x00" else ord(c) for c in text.replace("ab", "\x00")]
        return SimpleNamespace(input_ids=start + ids)

    def decode(self, ids, skip_special_tokens=False):
        kept = (i for i in ids if not (skip_special_tokens and i in (BOS, EOS)))
        return "".join("ab" if i == 1000 else f"<{i}>" if i in (BOS, EOS) else chr(i) for i in kept)


def ids(text):
    return tuple(Characters()(text, add_special_tokens=False).input_ids)


def request(kind, **more):
    return Request(task="t", example="e", kind=kind, **more)


def prompt(asked, max_length=100, bos=BOS):
    (found,) = Encoder(Characters(bos), max_length).prompts(asked)
    return found


def score(context, continuation, **more):
    return prompt(request("score", context=context, continuation=continuation, **more))


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
    assert (scored.tokens, scored.forced) == (ids("456789"), ids("xyz"))
    reserved = prompt(request("score", context=text, continuation="xyz", reserve=7), max_length=9)
    assert (reserved.tokens, reserved.forced) == (ids("89"), ids("xyz"))
    assert prompt(request("generate", context=text, max_new=3), max_length=14).tokens == (BOS, *ids(text))


def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers():
    with pytest.raises(InputError, match="needs 9 positions after its prompt, the model has 9"):
        prompt(request("generate", context="x", max_new=9), max_length=9)


def test_the_length_of_a_generation_follows_the_longest_reference():
    asked = request("generate", context="x", max_new=30, length_of=("abc", "wxyz"), length_plus=5)
    assert prompt(asked).new_tokens == 9  # wxyz has 4 tokens, abc 2
    assert prompt(dataclasses.replace(asked, max_new=7)).new_tokens == 7
    assert prompt(asked).finished is None
    assert prompt(request("generate", context="x", max_new=30)).new_tokens == 30


def test_a_generation_ends_at_a_stop_string_or_the_end_of_text():
    finished = prompt(request("generate", context="x", max_new=30, until=("\n\n", "END"))).finished
    assert not finished(list(ids("one\ntwo")))
    assert finished(list(ids("one\n\n")))
    assert finished(list(ids("the END of")))
    assert finished([*ids("one"), EOS])
    assert not prompt(request("generate", context="x", max_new=30)).finished(list(ids("\n\n")))


def test_text_is_cut_before_the_first_stop_string():
    encoder = Encoder(Characters(), 100)
    asked = request("generate", until=("\n\n", "END"))
    assert encoder.text(asked, [*ids("one END two\n\n"), EOS]) == "one "
    assert encoder.text(asked, [*ids("\n\none END")]) == ""
    assert encoder.text(request("generate"), [*ids("one END"), EOS]) == "one END"


@given(st.text(alphabet="xyz ", min_size=1, max_size=60), st.integers(3, 20))
def test_windows_of_a_rolling_text_score_every_token_once(text, max_length):
    prompts = Encoder(Characters(), max_length).prompts(request("roll", continuation=text))
    assert tuple(token for one in prompts for token in one.forced) == ids(text)
    assert prompts[0].tokens == (BOS,)
    before = (BOS, *ids(text))
    position = 0
    for one in prompts:
        assert len(one.tokens) + len(one.forced) <= max_length
        assert one.tokens == (before[position],)
        position += len(one.forced)
    assert [one.part for one in prompts] == list(range(len(prompts)))
    assert len({one.key for one in prompts}) == len(prompts)


def test_the_key_changes_with_all_that_the_answer_depends_on_and_nothing_else():
    asked = request("generate", context="x", max_new=3)
    assert dataclasses.replace(asked, target="gold").key == asked.key
    changes = [{"context": "y"}, {"max_new": 4}, {"until": ("z",)}, {"reserve": 1}, {"kind": "score"}, {"example": "f"}]
    changes += [{"continuation": "z"}, {"separately": True}, {"length_of": ("q",)}, {"length_plus": 1}, {"task": "u"}]
    keys = {dataclasses.replace(asked, **change).key for change in changes}
    assert len(keys | {asked.key}) == len(changes) + 1

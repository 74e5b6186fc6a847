"""Dense decoding here against lm-eval's own hf backend, entry by entry of the matrix."""

import pytest

from conformance.matrix import ENTRIES, PLAIN_MODEL, Entry
from conformance.requests import CASES
from conformance.sides import Hf, Ours, answers, differences, found


def chosen(entries):
    """Parametrise over entries, by name; those outside the fast selection are slow."""
    cases = [pytest.param(e, id=str(e), marks=() if e.fast else pytest.mark.slow) for e in entries]
    return pytest.mark.parametrize("entry", cases)


@chosen([entry for entry in ENTRIES if not entry.refused])
def test_every_sample_is_answered_like_hf_answers_it_alone(entry):
    assert entry.differences() == []


@chosen([entry for entry in ENTRIES if entry.refused])
def test_what_cannot_be_right_is_refused_in_one_sentence_before_weights(entry):
    sentence = entry.refusal()
    assert entry.refused in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("tokenizer", ["adds BOS", "adds nothing"])
@pytest.mark.parametrize("name", ["generate", "likelihood, choices", "rolling", "rolling, BOS in the text"])
def test_fewer_positions_than_the_model_has_are_kept_to_like_hf_keeps_to_them(name, tokenizer):
    folder, case = Entry(PLAIN_MODEL, tokenizer).folder, CASES[name]
    hf = answers(Hf(folder, max_length=20), case)
    assert hf != answers(Hf(folder), case)
    for rows in (None, 1):
        assert differences(case, answers(Ours(found(folder, max_length=20), rows), case), hf) == []

"""Architectures that nobody thought of: what transformers knows and the table of models lacks."""

import pytest

from conformance.checkpoints import write_model
from conformance.guessing import KINDS, guess
from conformance.requests import CASES
from conformance.sides import Hf, Ours, answers, differences, found
from conformance.spelling import tokenizer
from harness.errors import InputError


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_architecture_answers_like_hf_or_is_refused(kind, tmp_path):
    tiny = guess(kind)
    if tiny is None:
        pytest.skip("no tiny configuration is guessed")
    tokenizer("adds BOS").save_pretrained(write_model(tiny, tmp_path))
    try:
        checkpoint = found(tmp_path)
        ours = {
            (name, rows): answers(Ours(checkpoint, rows), CASES[name])
            for name in ("generate", "likelihood")
            for rows in (None, 1)
        }
    except InputError as refusal:
        assert "\n" not in str(refusal)
        return
    hf = Hf(tmp_path)
    for (name, _), mine in ours.items():
        assert differences(CASES[name], mine, answers(hf, CASES[name])) == []

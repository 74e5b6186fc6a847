"""Divergence from dense and acceptance as a draft, by hand."""

import math

import pytest
import torch

from harness.engine.divergence import Divergence, differences, draft

THIRDS = [0.5, 0.25, 0.25]


def logs(*rows):
    """Logits [1, T, V] of given probabilities, off by a constant that means nothing."""
    return torch.tensor(rows, dtype=torch.float64).log()[None] + 3


def test_differences_of_hand_made_logits_are_those_worked_out_by_hand():
    dense = logs(THIRDS, THIRDS, [0.1, 0.8, 0.1])
    own = logs(THIRDS, [0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    kl, agrees, lost = differences(dense, own)
    by_hand = [0, 0.5 * math.log(2) - 0.25 * math.log(2), 0.8 * math.log(1.6) + 0.2 * math.log(0.4)]
    assert kl[0].tolist() == pytest.approx(by_hand, abs=1e-12)
    assert agrees.tolist() == [[True, False, True]]
    assert lost[0].tolist() == pytest.approx([0, 0.25, 0.3], abs=1e-12)


def test_a_token_that_dense_rules_out_adds_nothing_to_the_divergence():
    kl, _, _ = differences(logs([0.5, 0.5, 0.0]), logs([0.25, 0.5, 0.25]))
    assert kl.item() == pytest.approx(0.5 * math.log(2), abs=1e-12)


def test_half_precision_is_compared_in_single_precision():
    dense, own = logs(THIRDS), logs([0.4, 0.3, 0.3])
    half = differences(dense.bfloat16(), own.bfloat16())
    assert (half.kl.dtype, half.lost.dtype) == (torch.float32, torch.float32)
    exact = differences(dense.bfloat16().double(), own.bfloat16().double())
    assert half.kl.item() == pytest.approx(exact.kl.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("agrees", "length", "rounds"),
    [
        ("", 2, []),
        ("1", 2, []),
        ("11", 2, [2]),
        ("111", 2, [2]),
        ("11111", 2, [2, 2]),
        ("11011", 2, [2, 2]),  # the token behind two accepted ones is dense's: nobody asks the method for it
        ("01011", 2, [0, 1, 2]),
        ("0000", 2, [0, 0, 0]),
        ("1110111", 4, [3]),
        ("111011110", 4, [3, 4]),
        ("0" * 8, 8, [0]),
    ],
)  # fmt: skip
def test_rounds_of_drafting_accept_what_stands_before_the_first_other_token(agrees, length, rounds):
    assert draft([step == "1" for step in agrees], length) == (len(rounds), sum(rounds))


def test_means_are_over_steps_and_nothing_is_said_without_one():
    found = Divergence.of([0.1, 0.3], [True, False], [0.0, 0.5])
    assert (found.steps, found.kl, found.agreement, found.lost) == (2, pytest.approx(0.2), 0.5, 0.25)
    assert found.drafts == {2: (1, 1), 4: (0, 0), 8: (0, 0)}
    assert Divergence.of([], [], []) is None

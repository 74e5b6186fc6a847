"""What the glossary says of k is what the methods do."""

import re
from pathlib import Path

import pytest
import torch

from harness import methods
from harness.attention import Rope
from harness.methods.decoding import decode

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| ((?:\w+ \+ )*\w+) \| [^|]+ \|$", re.MULTILINE)
K = 40
SETTINGS = {"k": K, "r": 8, "recent": 30, "reallocate": False, "token_budget": None, "prompt_budget": 100, "ratio": 4.0}
"""Without reallocation, whose mean of V weighs every token, and with k as it is given."""


def stated():
    """Sums of knobs that tokens attended to are, by method, as the table says."""
    table = (ROOT / "docs" / "words.md").read_text(encoding="utf-8")
    return {name: count.split(" + ") for name, count in ROW.findall(table)}


def test_the_table_is_found():
    assert stated()["sparq"] == ["k", "1"]


def test_the_table_has_a_row_for_every_method_with_a_k():
    table = (ROOT / "docs" / "words.md").read_text(encoding="utf-8").partition("## k, method by method")[2]
    with_k = {name for name in methods.runnable() if "k" in methods.knobs(methods.find(name))}
    assert with_k == set(re.findall(r"^\| `(\w+)`", table.partition("\n## ")[0], re.MULTILINE))


@pytest.mark.parametrize("name", list(stated()))
def test_a_method_attends_to_as_many_tokens_as_the_table_says(name):
    knobs = methods.knobs(methods.find(name))
    method = methods.create(name, **{knob: value for knob, value in SETTINGS.items() if knob in knobs})
    query, key, value = torch.randn(3, 1, 2, 151, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value.requires_grad_()
    mask, rope = torch.ones(1, 151, dtype=torch.bool), Rope.plain(10_000, 16)
    decode(method, query, key, value, mask, 150, rope=rope).sum().backward()
    told = sum(int(part) if part.isdecimal() else getattr(method, part) for part in stated()[name])
    assert (value.grad != 0).any(-1).sum(-1).tolist() == [[told] * 2]

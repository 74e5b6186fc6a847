"""Models are measured while they are made, and the measure is gone afterwards."""

import pytest
import torch
from torch import nn

from harness.errors import InputError
from harness.hf.vetting import building
from harness.hf.vetting.building import bounded


def make(modules=3, width=10):
    """A chain of linear layers, on the meta device."""
    with torch.device("meta"):
        return nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(modules)))


def test_a_model_at_its_bounds_is_made_and_one_number_or_one_module_more_is_not():
    with bounded(numbers=300, modules=3):
        assert make()
    with bounded(numbers=299), pytest.raises(InputError, match=r"more than 299 numbers \(up to weight of shape \[10, "):
        make()
    with bounded(modules=2), pytest.raises(InputError, match="more than 2 modules"):
        make()


def test_buffers_count_as_parameters_do():
    with bounded(numbers=10), pytest.raises(InputError, match="up to table of shape"):
        nn.Module().register_buffer("table", torch.zeros(11, device="meta"))


def test_nothing_is_counted_afterwards_whatever_happened():
    with pytest.raises(InputError), bounded(numbers=0):
        make()
    assert make()


def test_numbers_that_no_memory_holds_are_counted_without_memory():
    with bounded(), pytest.raises(InputError, match="more than 4,398,046,511,104 numbers"):
        make(width=2**22)


def test_few_tensors_bound_the_modules_and_unknown_ones_leave_the_bound_of_all():
    assert building.most_modules(20) == building.OUTER + 20 * building.PER_TENSOR
    assert building.most_modules(None) == building.most_modules(10**9) == building.MOST_MODULES

"""Dense attention and windows by kernels are what harness/methods/ defines."""

import pytest
from support.kernels import Inputs, error

from harness import kernels
from harness.errors import InputError
from harness.kernels.shared.tiles import AttendTiles

GROUPS = pytest.mark.parametrize("group", [1, 3])


@GROUPS
@pytest.mark.parametrize("tiles", [AttendTiles(16, 1, 1), AttendTiles(16, 1, 3), None], ids=["one", "parts", "planned"])
def test_dense_attention_equals_its_definition_however_it_is_split(group, tiles):
    x = Inputs.random(g=group)
    assert error(kernels.dense(x.q, x.cache(), tiles=tiles), x.expected("dense")) < 1e-5


@GROUPS
@pytest.mark.parametrize(("k", "initial"), [(24, 4), (400, 16), (9, 8)])
def test_a_window_with_initial_tokens_equals_its_definition(group, k, initial):
    x = Inputs.random(g=group)
    got = kernels.lm_infinite(x.q, x.cache(), k=k, initial=initial)
    assert error(got, x.expected("lm_infinite", k=k, initial=initial)) < 1e-5


def test_a_query_that_does_not_fit_is_refused():
    x = Inputs.random()
    with pytest.raises(InputError, match="does not fit"):
        kernels.dense(x.q.half(), x.cache())

"""A download that breaks is tried again; whatever is no matter of the network is not."""

import pytest

from harness.errors import InputError, RunError
from harness.hf.retry import PAUSES, patiently


class Flaky:
    """Raises the given errors in turn, then returns "weights"; remembers the pauses between its calls."""

    def __init__(self, *errors):
        self.errors, self.calls, self.pauses = list(errors), 0, []

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "weights"


def wrapped(cause):
    """As transformers raises it: an error of its own on top of the network's."""
    try:
        raise OSError("We couldn't connect to the hub") from cause
    except OSError as error:
        return error


@pytest.mark.parametrize("error", [ConnectionError("reset by peer"), TimeoutError("timed out")])
def test_a_broken_download_is_tried_again_until_it_arrives(error):
    action = Flaky(error, wrapped(error))
    assert patiently(action, "the weights", action.pauses.append) == "weights"
    assert (action.calls, action.pauses) == (3, list(PAUSES[:2]))


def test_a_download_that_breaks_every_time_ends_in_one_sentence_that_says_what_to_do():
    action = Flaky(*[ConnectionError("reset by peer")] * 9)
    with pytest.raises(RunError, match=r"the weights broke 4 times \(reset by peer\): .* run the same command again"):
        patiently(action, "the weights", action.pauses.append)
    assert action.pauses == list(PAUSES)


@pytest.mark.parametrize("error", [ValueError("bad tensor"), wrapped(KeyError("name")), MemoryError()])
def test_what_is_no_matter_of_the_network_is_raised_at_once(error):
    action = Flaky(error)
    with pytest.raises(type(error)):
        patiently(action, "the weights", action.pauses.append)
    assert (action.calls, action.pauses) == (1, [])


def test_an_error_that_was_worded_for_the_user_is_final():
    def refuse():
        try:
            raise ConnectionError("no route")
        except ConnectionError:
            raise InputError("data set x cannot be loaded") from None

    with pytest.raises(InputError, match="data set x"):
        patiently(refuse, "the weights", lambda _: pytest.fail("paused"))

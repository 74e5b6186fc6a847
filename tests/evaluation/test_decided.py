"""The examples whose score is decided before a method acts."""

from support import record

from harness.evaluation.decided import Example, find_decided
from harness.evaluation.prompts import TaskPrompt
from harness.evaluation.requests import Request


class Letters:
    """Decodes token 1 as "a", 2 as "b" ..."""

    def text(self, request, tokens):
        return "".join(chr(96 + token) for token in tokens)


def answered(tokens, example="e", settled=None):
    """A prompt and its output."""
    request = Request("t", example, "generate", context="x", settled=settled)
    return TaskPrompt((1,), 9, request=request, part=0), record(tokens=tokens)


def decided(*outputs):
    return find_decided(outputs, Letters()) == {Example("t", "e")}


def test_an_output_of_one_token_is_decided_by_it():
    assert decided(answered([1]))
    assert not decided(answered([1, 2]))


def test_a_task_says_which_beginnings_settle_its_score():
    assert decided(answered([1, 2], settled=lambda beginning: beginning == "a"))
    assert not decided(answered([2, 1], settled=lambda beginning: beginning == "a"))


def test_an_example_is_decided_if_all_its_outputs_are():
    assert decided(answered([1]), answered([2]))
    assert not decided(answered([1]), answered([2, 3]))


def test_what_settles_a_score_is_no_part_of_what_was_asked():
    (one, _), (other, _) = answered([1]), answered([1], settled=str.isupper)
    assert one.key == other.key

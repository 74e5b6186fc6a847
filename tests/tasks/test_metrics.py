"""The paper's scores on texts: what counts as an answer, and how far a repetition goes."""

import pytest

from tasks.paper.metrics import (
    common_prefix_length,
    match,
    match_is_settled,
    matched_characters,
    normalise_answer,
    starts_with_answer,
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Mill", "mill"),
        (' \n"\'The mill." ', "mill"),
        ("the the mill", "the mill"),
        ("an owl", "owl"),
        ("A  Mill", " mill"),
        ("Theatre", "theatre"),
        ("__a mill__", "mill"),
        ("mill the", "mill the"),
        ("the", "the"),
        ("...", ""),
        ("", ""),
        ("mid. dot, kept", "mid. dot, kept"),
        ("(mill)", "(mill)"),
    ],
)
def test_answers_are_compared_in_normal_form(text, normal):
    assert normalise_answer(text) == normal


@pytest.mark.parametrize(
    ("output", "answers", "right"),
    [
        (" The mill, of course", ["mill"], True),
        ("mill", ["the mill"], True),
        ("at the mill", ["mill"], False),
        ("Millstone", ["mill"], True),
        ("mil", ["mill"], False),
        ("mill", ["quay", "a MILL."], True),
        ("anything", ["", "..."], False),
        ("", ["mill"], False),
        ("mill", [], False),
    ],
)
def test_an_output_matches_if_it_starts_with_any_answer(output, answers, right):
    assert starts_with_answer(output, answers) is right


@pytest.mark.parametrize(
    ("output", "reference", "length"),
    [(" abc", "\n abd", 2), ("abc", "abcdef", 3), ("", "abc", 0), ("x", "abc", 0), ("abc ", "abc d", 4)],
)
def test_characters_match_up_to_the_first_difference(output, reference, length):
    assert common_prefix_length(output, reference) == length
    assert common_prefix_length(reference, output) == length


@pytest.mark.parametrize(
    ("output", "reference", "authors", "repaired"),
    [
        ("my horse", " my horse. God", 13, 8),
        (" my horse. God save", "my horse. God", 13, 13),
        ("my house", "my horse. God", 5, 5),
        ("", "my horse. God", 13, 0),
        ("your horse", "my horse. God", 0, 0),
    ],
)
def test_without_a_mistake_the_authors_count_the_whole_reference_and_the_repaired_rule_the_output(
    output, reference, authors, repaired
):
    doc = {"reference": reference}
    assert matched_characters({**doc, "rule": "authors"}, [output]) == {"match_characters": authors}
    assert matched_characters({**doc, "rule": "repaired"}, [output]) == {"match_characters_repaired": repaired}


ANSWERS = ["the Mill", "a quay.", "Anne", "the"]
COME = [" ".join(words) for answer in ANSWERS for words in ([answer.lower()], ["", answer], ["a", answer])]
FOLLOWING = ["", "\0", " \0", *(text[i:] for text in COME for i in range(len(text)))]
"""Ends that make an answer of a beginning that can become one, and ends that do not."""


@pytest.mark.parametrize("beginning", ["", " ", "\n", "T", "The", " the ", "a", "A ", "an ", "m", "a q", '"', '"M'])
def test_a_match_is_open_while_what_follows_may_decide_it(beginning):
    assert {match({"answers": ANSWERS}, [beginning + more])["match"] for more in FOLLOWING} == {0, 1}
    assert not match_is_settled({"answers": ANSWERS}, beginning)


@pytest.mark.parametrize("beginning", ["Mill", " Millstone", "the mill", "x", " x", "Theatre", "<|end|>", "1"])
def test_a_match_is_settled_when_nothing_that_follows_changes_it(beginning):
    verdicts = {match({"answers": ANSWERS}, [beginning + more])["match"] for more in FOLLOWING}
    assert match_is_settled({"answers": ANSWERS}, beginning) == (len(verdicts) == 1)


def test_half_a_character_settles_nothing():
    assert not match_is_settled({"answers": ["mill"]}, "\ufffd")

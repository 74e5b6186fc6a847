"""Files of models and of results are parsed by one parser; what else may stand there differs, and is said here."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.hf.vetting.json_files import read_object
from harness.store.plain import UnreadableError, read_json
from harness.strict_json import parse_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_an_object_that_python_wrote_is_read_as_it_was(value):
    assert parse_object(json.dumps(value)) == value


@pytest.mark.parametrize("levels", [1, 2, 7])
def test_as_many_levels_as_are_allowed_are_read_and_not_one_more(levels):
    def nested(depth):
        return '{"a": ' * depth + "1" + "}" * depth

    assert parse_object(nested(levels), levels)
    with pytest.raises(ValueError, match=f"^it has more than {levels} levels$"):
        parse_object(nested(levels + 1), levels)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "it holds a list in place of an object"),
        ('{"x": [{"b": 1, "a": 1, "a": 2}]}', "it names 'a' twice"),
        (f'{{"a": {"9" * 5000}}}', "it has a number of too many digits"),
    ],
)
def test_both_readers_refuse_the_same_in_the_same_words(tmp_path, content, why):
    file = tmp_path / "run.json"
    file.write_text(content)
    with pytest.raises(UnreadableError) as of_results:
        read_json(file)
    with pytest.raises(InputError) as of_a_model:
        read_object("m", file)
    assert str(of_results.value) == why
    assert str(of_a_model.value) == f"model 'm': its run.json cannot be read ({why}): mend it or download it again"


def test_a_byte_order_mark_is_taken_in_results_only(tmp_path):
    file = tmp_path / "run.json"
    file.write_text('{"a": 1}', encoding="utf-8-sig")
    assert read_json(file) == {"a": 1}
    with pytest.raises(InputError, match="Unexpected UTF-8 BOM"):
        read_object("m", file)


def test_a_link_is_followed_in_models_only(tmp_path):
    (tmp_path / "blob").write_text('{"a": 1}')
    link = tmp_path / "config.json"
    link.symlink_to(tmp_path / "blob")
    assert read_object("m", link) == {"a": 1}
    with pytest.raises(UnreadableError, match="it is a link, not a file"):
        read_json(link)

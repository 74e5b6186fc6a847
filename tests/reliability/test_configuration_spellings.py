"""However a configuration is spelled, and whatever its tree, no code runs; a canary would leave a file."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.foreign_configuration import SING, assert_refused, launched, write

pytestmark = pytest.mark.usefixtures("few_methods")


@st.composite
def spellings(draw, text):
    """One of the ways in which YAML writes a text."""
    escapes = {n: draw(st.sampled_from(["", "x", "u", "U"])) for n in range(len(text))}
    widths = {"x": 2, "u": 4, "U": 8}
    letters = [f"\\{kind}{ord(text[n]):0{widths[kind]}x}" if kind else text[n] for n, kind in escapes.items()]
    forms = [f'"{"".join(letters)}"', f"'{text}'", f'!!str "{text}"', f'&a "{text}"', f'? "{text}"\n    ']
    return draw(st.sampled_from(forms))


PLACES = st.sampled_from(
    [
        (("hydra", "callbacks", "x"), "_target_"),
        (("hydra", "launcher"), "_target_"),
        (("hydra", "sweeper"), "_target_"),
        (("hydra", "job_logging", "handlers", "x"), "()"),
        (("hydra", "hydra_logging", "formatters", "x"), "()"),
        (("hydra", "job_logging", "filters", "x"), "class"),
        (("method", "sparq", "x"), "_target_"),
    ]
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=PLACES, data=st.data())
def test_a_target_is_found_in_every_spelling(canary, folder, capsys, place, data):
    path, key = place
    keys = [data.draw(spellings(name)) for name in (*path, key)]
    text = "{" + ": {".join(keys) + f": {data.draw(spellings(SING))}" + "}" * len(keys)
    write(folder, "experiment/evil", text.replace("&a", "", text.count("&a") - 1), str)
    assert path[0] in assert_refused(capsys, "-m", f"--config-dir={folder}", "experiment=evil")
    assert not canary.exists()


WORDS = """
_target_ _args_ _recursive_ _partial_ () class ext:// callbacks launcher sweeper job_logging hydra_logging job env_set
env_copy handlers root params overrides hydra task runtime choices mode searchpath verbose sweep run dir defaults help
""".split()
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([SING, "${hydra}", "${oc.env:HOME}", "pkg://x", "${x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(WORDS), ANY, min_size=1, max_size=3))
def test_any_tree_of_hydras_own_is_shown_or_refused_in_one_sentence(canary, folder, capsys, tree):
    write(folder, "experiment/evil", {"hydra": tree})
    code, err = launched(capsys, "--cfg", "all", f"--config-dir={folder}", "experiment=evil")
    assert (code, err.count("\n")) in [(0, 0), (2, 1)], err
    assert not canary.exists()

"""A configuration is data: whatever it names, and however it is spelled, no code runs; a canary would leave a file."""

import contextlib
import pickle

import pytest
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException
from support.foreign_configuration import FACTORY, HANDLER, OUTSIDE, SING, TARGET, assert_refused, launched, write

from harness.commands import loader
from harness.commands.compose import CONF, compositions
from harness.commands.loader import VettedLoader, composing
from harness.errors import InputError

pytestmark = pytest.mark.usefixtures("few_methods")
IN_A_FILE = {
    "a callback": {"hydra": {"callbacks": {"x": TARGET}}},
    "a callback of a reference": {"hydra": {"callbacks": {"x": "${bad}"}}, "bad": TARGET},
    "callbacks of a reference": {"hydra": {"callbacks": "${bad}"}, "bad": {"x": TARGET}},
    "a callback that a resolver makes": {"hydra": {"callbacks": {"x": f"${{oc.create:{{_target_:{SING}}}}}"}}},
    "a callback that a resolver reads": {"hydra": {"callbacks": {"x": f"${{oc.decode:'{{_target_:{SING}}}'}}"}}},
    "a method of this package": {"hydra": {"callbacks": {"x": {"_target_": "harness.store.provenance._git"}}}},
    "a launcher": {"hydra": {"launcher": TARGET}},
    "an argument of a launcher": {"hydra": {"launcher": {"x": TARGET}}},
    "a sweeper": {"hydra": {"sweeper": TARGET}},
    "a handler's class": {"hydra": {"job_logging": HANDLER}},
    "a handler's factory": {"hydra": {"job_logging": FACTORY}},
    "a handler of Hydra's own": {"hydra": {"hydra_logging": FACTORY}},
    "an outside object": {"hydra": {"job_logging": OUTSIDE}},
    "an environment": {"hydra": {"job": {"env_set": {"GIT_CONFIG_COUNT": "1"}}}},
    "a copied environment": {"hydra": {"job": {"env_copy": ["HOME"]}}},
    "a folder for Hydra to write to": {"hydra": {"run": {"dir": "elsewhere"}, "output_subdir": "x"}},
    "overrides that nobody typed": {"hydra": {"overrides": {"hydra": [f"+hydra.callbacks.x._target_={SING}"]}}},
    "a package to look into": {"hydra": {"overrides": {"hydra": ["hydra.searchpath=[pkg://support.canary]"]}}},
    "overrides of each job": {"hydra": {"sweeper": {"params": {"+hydra.callbacks.x._target_": SING}}}},
    "a group for each job": {"hydra": {"sweeper": {"params": {"hydra/job_logging": "evil"}}}},
    "a search path of each job": {"hydra": {"sweeper": {"params": {"+hydra.searchpath": "[pkg://support.canary]"}}}},
    "a group of Hydra's": {"defaults": [{"override /hydra/callbacks": "evil"}]},
    "a launcher's group": {"defaults": [{"override /hydra/launcher": "evil"}]},
    "the job's own part": {"task": {"metadata": TARGET}},
    "a list in the job's part": {"bad": [[{"x": [TARGET]}]]},
}
"""What the file of an experiment may hold; all of it ends before a job has begun."""


@pytest.mark.parametrize("tree", IN_A_FILE.values(), ids=list(IN_A_FILE))
def test_a_file_that_names_code_is_refused_before_a_job_begins(canary, folder, capsys, tree):
    write(folder, "experiment/evil", tree)
    assert_refused(capsys, "-m", f"--config-dir={folder}", "experiment=evil")
    assert not canary.exists()


SINGING = [
    "a callback",
    "a handler's factory",
    "a handler's class",
    "a group of Hydra's",
    "a group for each job",
]


@pytest.mark.parametrize("name", SINGING)
def test_without_the_judgement_it_would_run(canary, folder, capsys, monkeypatch, name):
    write(folder, "experiment/evil", IN_A_FILE[name])
    for check in ("check_hydra", "check_job"):
        monkeypatch.setattr(loader, check, lambda *_: None)
    with contextlib.suppress(Exception):  # what sings is no callback
        launched(capsys, "-m", f"--config-dir={folder}", "experiment=evil")
    assert canary.exists()


SHADOWS = {
    "hydra/config": {"callbacks": {"x": TARGET}},
    "hydra/launcher/basic": TARGET,
    "hydra/sweeper/basic": TARGET,
    "hydra/callbacks/evil": {"x": TARGET},
    "hydra/env/default": {"callbacks": {"x": TARGET}},
}


@pytest.mark.parametrize("name", SHADOWS)
@pytest.mark.parametrize("mode", [["-m"], ["--cfg", "all", "--resolve"]])
def test_a_file_of_a_name_that_hydra_knows_takes_no_place_of_it(canary, folder, capsys, name, mode):
    write(folder, name, SHADOWS[name])
    chosen = ["+hydra/callbacks=evil"] if "callbacks" in name else []
    code, err = launched(capsys, f"--config-dir={folder}", *mode, *chosen)
    assert code == 2 or "--cfg" in mode, err
    assert err.count("\n") <= 1
    assert not canary.exists()


def test_a_linked_folder_is_judged_by_what_it_gives(canary, folder, tmp_path, capsys):
    write(tmp_path / "elsewhere", "evil", IN_A_FILE["a callback"], lambda tree: f"# @package _global_\n{tree}")
    (folder / "experiment").symlink_to(tmp_path / "elsewhere")
    assert "hydra.callbacks" in assert_refused(capsys, f"--config-dir={folder}", "experiment=evil")
    assert not canary.exists()


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


def test_what_is_composed_later_is_judged_again(canary, folder, capsys, monkeypatch):
    write(folder, "experiment/evil", {"limit": 1})
    load, calls = VettedLoader.load_configuration, []

    def changed_after(self, *arguments, **named):
        config = load(self, *arguments, **named)
        write(folder, "experiment/evil", IN_A_FILE["a callback"])
        calls.append(config)
        return config

    monkeypatch.setattr(VettedLoader, "load_configuration", changed_after)
    assert_refused(capsys, f"--config-dir={folder}", "experiment=evil")
    assert (len(calls), canary.exists()) == (1, False)


def test_a_process_of_a_launcher_judges_too(canary, folder):
    write(folder, "experiment/evil", IN_A_FILE["a callback"])
    with composing(CONF, folder) as engine:
        sent = pickle.loads(pickle.dumps(engine.config_loader))
        with pytest.raises(InputError, match=r"hydra\.callbacks"):
            sent.load_configuration("config", ["experiment=evil"], loader.RunMode.RUN)
    assert not canary.exists()


@pytest.mark.parametrize("kind", [HydraException, OmegaConfBaseException, KeyError, RecursionError, UnicodeError])
def test_whatever_composing_raises_is_a_sentence(monkeypatch, kind):
    def broken(*_, **__):
        raise kind("first\nsecond")

    monkeypatch.setattr(loader.ConfigLoaderImpl, "load_configuration", broken)
    with pytest.raises(InputError) as raised:
        compositions([])
    assert str(raised.value).isprintable()


BROKEN = {"no YAML": b"{", "no text": b"\xff\xfe\x00", "a list": b"[1]", "a tag": b"!!python/object/apply:os.getpid []"}


@pytest.mark.parametrize("content", BROKEN.values(), ids=list(BROKEN))
def test_a_file_that_is_no_configuration_is_one_sentence(folder, capsys, content):
    (folder / "experiment").mkdir()
    (folder / "experiment" / "evil.yaml").write_bytes(content)
    assert_refused(capsys, f"--config-dir={folder}", "experiment=evil")


def test_a_folder_that_is_none_is_named(tmp_path, capsys):
    assert "is no folder" in assert_refused(capsys, f"--config-dir={tmp_path / 'none'}")

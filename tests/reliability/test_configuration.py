"""A configuration is data: whatever it names, no code runs; a canary would leave a file."""

import contextlib
import pickle

import pytest
from support.foreign_configuration import FACTORY, HANDLER, OUTSIDE, SING, TARGET, assert_refused, launched, write

from harness.commands import loader
from harness.commands.compose import CONF
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

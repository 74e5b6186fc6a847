"""A configuration is data: whatever it names, and however it is spelled, no code runs; a canary would leave a file."""

import contextlib
import functools
import json
import pickle
import re

import pytest
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

from harness.__main__ import main
from harness.commands import loader
from harness.commands.compose import CONF, compositions
from harness.commands.loader import VettedLoader, composing, parsed
from harness.errors import InputError

pytestmark = pytest.mark.usefixtures("few_methods")
SING = "support.canary.sing"
TARGET = {"_target_": SING}
HANDLER = {"version": 1, "handlers": {"x": {"class": "support.canary.Handler"}}, "root": {"handlers": ["x"]}}
FACTORY = {"version": 1, "handlers": {"x": {"()": SING}}, "root": {"handlers": ["x"]}}
OUTSIDE = {"version": 1, "handlers": {"x": {"()": "logging.NullHandler", "level": f"ext://{SING}"}}, "root": {}}
NOWHERE = ("model=custom", "model.path=nowhere", "model.device=cpu")
"""A job that ends before anything is loaded."""
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


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """The file that is there if code ran."""
    monkeypatch.setenv("CANARY", str(tmp_path / "canary"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "canary"


@pytest.fixture
def folder(tmp_path):
    """A folder of configuration by somebody else; its files of Hydra's own groups sing."""
    write(tmp_path / "conf", "hydra/job_logging/evil", FACTORY)
    write(tmp_path / "conf", "hydra/launcher/evil", TARGET)
    write(tmp_path / "conf", "hydra/callbacks/evil", {"x": TARGET})
    return tmp_path / "conf"


def write(folder, name, tree, as_text=json.dumps):
    """Write a tree as a file of a folder; JSON is YAML too."""
    file = folder / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# @package _global_\n{as_text(tree)}\n" if name.startswith("experiment/") else as_text(tree))


def launched(capsys, *arguments):
    """Run the command line; returns the exit code and what stands on standard error."""
    code = main(["run", *NOWHERE, *arguments])
    return code, capsys.readouterr().err


def assert_refused(capsys, *arguments):
    """The exit code is 2, and one sentence says why; returns it."""
    code, err = launched(capsys, *arguments)
    assert (code, err.count("\n"), err.startswith("harness: ")) == (2, 1, True), err
    assert "nowhere" not in err, "the job had begun"
    return err


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


ON_THE_COMMAND_LINE = """
+x._target_=SING
hydra.launcher._target_=SING
hydra.launcher._target_=null
hydra.launcher=null
+hydra.launcher.x={_target_:SING}
hydra.sweeper={'_target_':'SING'}
+x={'_tar' '_target_' : SING}
+x={_target_:SING}
+hydra.callbacks.x={_target_:SING}
+hydra.callbacks.x._target_=hydra.utils.call
+hydra.callbacks.x={}
+hydra.callbacks.x={_target_:harness.store.provenance._git,_args_:[.,-c,"alias.x=!CMD",x]}
hydra.callbacks=${oc.create:{x:{_target_:SING}}}
hydra.job_logging.handlers.console.class=SING
+hydra.job_logging.handlers.x={'()':SING}
hydra/job_logging=evil
hydra/job_logging=stdout
hydra/hydra_logging=default
hydra/launcher=evil
hydra/sweeper=evil
hydra/output=evil
+hydra.job.env_set.PATH=.
hydra.job.env_copy=[PATH]
hydra.run.dir=elsewhere
hydra.sweep.dir=elsewhere
hydra.output_subdir=x
hydra.searchpath=[pkg://support.canary]
+hydra.searchpath=[pkg://support.canary]
hydra.searchpath=["file:///x/my dir"]
hydra={searchpath:[pkg://support.canary]}
~hydra.launcher
~hydra.sweep
""".split("\n")[1:-1]


@pytest.mark.parametrize("argument", ON_THE_COMMAND_LINE)
def test_the_command_line_names_no_code_either(canary, folder, capsys, argument):
    assert_refused(capsys, "-m", f"--config-dir={folder}", argument.replace("SING", SING))
    assert not canary.exists()


FLAGS = """
--config-d=F --config-di=F --experimental-rerun=F --experimental-r=F --config-path=F -cp=F --config-name=evil -cn=evil
--shell-completion -sc --hydra-help --run -r --version --multi --inf=defaults --conf=F -mcd=F
""".split()


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_flags_are_exact_and_others_are_refused(canary, folder, capsys, command, flag):
    (folder / "rerun.pickle").write_bytes(pickle.dumps(_Sings()))
    given = flag.replace("=F", f"={folder / 'rerun.pickle' if 'rerun' in flag else folder}")
    assert main([command, given, "experiment=evil"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"`harness {command} --help`" in line
    assert not canary.exists()


class _Sings:
    def __reduce__(self):
        return __import__("support.canary").canary.sing, ()


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


@settings(max_examples=50)
@given(st.text(max_size=30) | st.text("ab.=[]{}(),:~+#'\" ü$\n", max_size=12).map(lambda value: f"results={value}"))
def test_an_argument_that_hydra_cannot_read_is_one_sentence(text):
    try:
        parsed([text])
    except InputError as error:
        assert str(error).isprintable()


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


LETS_CODE_RUN = {
    "model.trust_remote_code": True,
    "model.allow_pickle": True,
    "task.confirm_run_unsafe_code": True,
    "task.include_path": "tasks",
    "task.name": "evil.yaml",
    "task.overrides.doc_to_text": "{{cycler.__init__.__globals__}}",
    "task.metadata.tokenizer": "folder",
}


def nested(key, value):
    """A tree with one value."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize(("key", "value"), LETS_CODE_RUN.items(), ids=list(LETS_CODE_RUN))
def test_what_lets_code_run_is_typed_or_not_done(folder, key, value):
    write(folder, "experiment/evil", {"defaults": [{"override /task": "lm_eval"}], **nested(key, value)})
    write(folder, "experiment/linked", {"hidden": value, **nested(key, "${hidden}")})
    for name in ("evil", "linked"):
        with pytest.raises(InputError, match=rf"^{re.escape(key)} is set by a file.* on the command line"):
            compositions([f"experiment={name}", "task=lm_eval"], folder)
    name = [] if key == "task.name" else ["task.name=gsm8k"]
    (config,) = compositions(["experiment=evil", *name, f"++{key}={json.dumps(value)}"], folder)
    assert functools.reduce(lambda tree, part: tree[part], key.split("."), config) == value


def test_a_whole_model_that_is_a_reference_hides_nothing(folder):
    write(folder, "experiment/evil", {"hidden": {"trust_remote_code": True}, "model": "${hidden}"})
    with pytest.raises(InputError, match="model"):
        compositions(["experiment=evil"], folder)


def test_plain_settings_of_a_further_folder_are_taken(folder):
    write(folder, "experiment/mine", {"limit": 3, "method": {"sparq": {"k": 64}}, "results": "${oc.env:HOME}"})
    write(folder, "model/mine", {"defaults": ["custom", "_self_"], "name": "mine", "path": "somewhere"})
    (config,) = compositions(["experiment=mine", "model=mine"], folder)
    assert (config["limit"], config["method"]["sparq"]["k"], config["model"]["name"]) == (3, 64, "mine")

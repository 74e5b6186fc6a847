"""What is typed names no code either: overrides, abbreviated and unknown flags, arguments that nobody can read."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.foreign_configuration import SING, assert_refused

from harness.__main__ import main
from harness.commands.loader import parsed
from harness.errors import InputError

pytestmark = pytest.mark.usefixtures("few_methods")
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


@settings(max_examples=50)
@given(st.text(max_size=30) | st.text("ab.=[]{}(),:~+#'\" ü$\n", max_size=12).map(lambda value: f"results={value}"))
def test_an_argument_that_hydra_cannot_read_is_one_sentence(text):
    try:
        parsed([text])
    except InputError as error:
        assert str(error).isprintable()

"""The command line constructs no object of its choice."""

import pytest

from harness.__main__ import main
from harness.commands.vetting import check_arguments
from harness.errors import InputError


@pytest.mark.parametrize(
    "argument",
    [
        "+x._target_=os.system",
        "hydra.launcher._target_=subprocess.run",
        "+hydra.callbacks.x={_target_: builtins.exec}",
        "+hydra.callbacks.x._target_=hydra.utils.call",
        "hydra.sweeper={'_target_':'os.system'}",
        "+x={'_tar' '_target_' : os.system}",
        "hydra.job_logging.handlers.console.class=os.system",
        "+hydra.job_logging.handlers.x={'()': os.system}",
    ],
)
def test_the_command_line_constructs_no_object_of_its_choice(argument, capsys):
    assert main(["run", argument]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("harness: ")


def test_a_folder_of_configuration_is_looked_through_too(tmp_path):
    (tmp_path / "evil.yaml").write_text("hydra:\n  callbacks:\n    x:\n      _target_: os.system\n")
    with pytest.raises(InputError, match=r"os\.system"):
        check_arguments(["--config-dir", str(tmp_path)])


def test_launchers_of_hydra_and_its_plugins_are_allowed():
    check_arguments(["hydra.launcher._target_=hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"])

"""What lets code of others run is typed, or not done; plain settings of a further folder are taken."""

import functools
import json
import re

import pytest
from support.foreign_configuration import write

from harness.commands.compose import compositions
from harness.errors import InputError

pytestmark = pytest.mark.usefixtures("few_methods")
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

"""A configuration by somebody else, what it would run, and how a launch with it ends; a canary would leave a file."""

import json

from harness.__main__ import main

SING = "support.canary.sing"
TARGET = {"_target_": SING}
HANDLER = {"version": 1, "handlers": {"x": {"class": "support.canary.Handler"}}, "root": {"handlers": ["x"]}}
FACTORY = {"version": 1, "handlers": {"x": {"()": SING}}, "root": {"handlers": ["x"]}}
OUTSIDE = {"version": 1, "handlers": {"x": {"()": "logging.NullHandler", "level": f"ext://{SING}"}}, "root": {}}
NOWHERE = ("model=custom", "model.path=nowhere", "model.device=cpu")
"""A job that ends before anything is loaded."""


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

"""What a report knows of methods: from run.json, else from their files, without importing them."""

import json

import pandas as pd
from support.report.folders import Cell, Folder

from harness import methods
from harness.__main__ import main
from harness.report.load import load
from harness.report.methods import is_control, order, stated, with_facts


def listed(*names, **recorded):
    """Titles as a report lists them."""
    lines = with_facts(pd.DataFrame({"method": names}), recorded).to_dict("records")
    return [line["title"] for line in sorted(lines, key=order)]


def test_what_files_state_is_what_importing_them_says():
    assert set(stated()) == set(methods.names())
    for name, facts in stated().items():
        said = ("title", "access", "family", "note", "not_runnable")
        assert {"note": "", "not_runnable": "", **facts} == {key: methods.facts(name)[key] for key in said}


def test_dense_is_listed_first_unknown_methods_before_controls_and_these_last():
    names = ["random_k", "brand_new", "sparq", "window", "dense", "h2o"]
    assert listed(*names) == ["Dense", "H2O", "Window", "SparQ", "brand_new", "Random k"]


def test_controls_are_those_of_their_family_without_dense():
    table = with_facts(pd.DataFrame({"method": ["dense", "oracle_topk", "h2o", "brand_new"]}))
    assert is_control(table).tolist() == [False, True, False, False]


def test_a_report_of_a_run_knows_methods_that_this_version_does_not(tmp_path):
    folder = Folder([Cell("dense", [1, 0]), Cell("gone", [1, 1], 2, {"k": 1})]).write(tmp_path)
    assert set(load(tmp_path).cells["variant"]) == {"Dense", "gone"}
    info = json.loads((folder / "run.json").read_text())
    info["methods"] = {"gone": {"title": "Gone!", "family": "eviction", "paper": None}}
    (folder / "run.json").write_text(json.dumps(info))
    cells = load(tmp_path).cells.set_index("method")
    assert cells.loc["gone", ["variant", "family"]].tolist() == ["Gone!", "eviction"]


def test_what_differs_from_a_publication_is_said_where_the_method_is_listed(tmp_path, capsys):
    Folder([Cell("dense", [1, 0]), Cell("lru", [1, 1], 2, {"k": 1})]).write(tmp_path)
    noted = [name for name in methods.names() if methods.facts(name)["note"]]
    assert f"LRU: {methods.facts('lru')['note']}" in load(tmp_path).notices
    assert main(["list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert {"lm_infinite", "lru", "streaming"} <= set(noted)
    assert all(methods.facts(name)["note"] in lines[name] for name in noted)


def test_what_run_json_says_of_methods_may_be_damaged(tmp_path):
    folder = Folder([Cell("dense", [1, 0]), Cell("h2o", [1, 1], 2, {"k": 1})]).write(tmp_path)
    info = json.loads((folder / "run.json").read_text())
    for damaged in (None, [], {"h2o": None}, {"h2o": {"title": 3, "family": ["x"]}}):
        (folder / "run.json").write_text(json.dumps(info | {"methods": damaged}))
        assert "Dense" in set(load(tmp_path).cells["variant"])

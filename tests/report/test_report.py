"""The whole command: what it writes, says, and imports."""

import subprocess
import sys

import pandas as pd
import pytest
from support.report.folders import Cell, Folder, quarter_and_eighth

from harness.__main__ import main


def test_a_report_holds_tables_figures_verdicts_notices_and_the_page(tmp_path, capsys):
    quarter_and_eighth(model="llama-2-7b").write(tmp_path / "results")
    assert main(["report", str(tmp_path / "results"), "--against", "published"]) == 0
    report = tmp_path / "results" / "report"
    assert {file.name for file in report.iterdir()} == {"tables", "figures", "figures.md", "notices.md", "index.html"}
    tables = {file.name for file in (report / "tables").iterdir()}
    assert tables == {f"{name}.{ending}" for name in ("scores", "main") for ending in ("csv", "md", "tex")} | {
        "verdicts.csv"
    }
    assert set(pd.read_csv(report / "tables" / "verdicts.csv")["verdict"]) <= {
        "no counterpart",
        "within 2 standard errors",
    }
    assert "tradeoff-llama-2-7b-hub" in (report / "figures.md").read_text()
    out = capsys.readouterr().out
    assert "2 within 2 standard errors" in out and "3 no counterpart" in out and "index.html" in out


def test_cells_solved_per_example_stand_beside_those_solved_per_task(tmp_path):
    solved = [Cell("sparq", [1, 0], 8, {"r": 8, "k": 64}, 8), Cell("h2o", [1, 0], 8, {"k": 90}, 8)]
    ranged = Cell("sparq", [0, 0], 8, {"r": 8, "k": [20, 99]}, 8, per="example")
    Folder([Cell("dense", [1, 1]), *solved, ranged], model="llama-2-7b").write(tmp_path)
    assert main(["report", str(tmp_path), "--against", "published"]) == 0
    scores = (tmp_path / "report" / "tables" / "scores.md").read_text()
    assert "| SparQ (per task) |" in scores and "| SparQ (per example) |" in scores and "| H2O |" in scores
    verdicts = pd.read_csv(tmp_path / "report" / "tables" / "verdicts.csv").set_index("variant")
    assert verdicts.loc["SparQ (per example)", "reason"] == "the paper has the same knobs for all examples"
    assert "k=20..99" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_report_does_not_disturb_the_next_one(tmp_path):
    quarter_and_eighth().write(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    first = (tmp_path / "report" / "tables" / "scores.csv").read_bytes()
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "report" / "tables" / "scores.csv").read_bytes() == first


def test_what_is_left_out_is_said_in_the_terminal_and_in_the_report(tmp_path, capsys):
    Folder([Cell("h2o", [1, 0], 4, {"k": 1})]).write(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    assert "note: m on squad has no dense cell" in capsys.readouterr().out
    assert "no dense cell" in (tmp_path / "report" / "notices.md").read_text()


@pytest.mark.parametrize("arguments", [["nowhere"], ["--models"], ["--against", "me"]])
def test_bad_input_is_one_sentence(arguments, capsys):
    assert main(["report", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("harness: ")


def test_a_report_needs_neither_torch_nor_transformers_nor_lm_eval(tmp_path):
    quarter_and_eighth().write(tmp_path)
    code = (
        "import sys\n"
        "from harness.__main__ import main\n"
        f"assert main(['report', {str(tmp_path)!r}]) == 0\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'datasets', 'hydra'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""What a report writes holds whatever names it is given: spreadsheets compute nothing, LaTeX compiles, SVGs parse."""

import csv
import io
import shutil
import subprocess
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from support.report.folders import Cell, Folder

from harness.report.drawing.save import save
from harness.report.drawing.style import literal
from harness.report.figures import draw_all
from harness.report.latex import frame_to_latex, latex_text, to_latex
from harness.report.load import load
from harness.report.main_table import by_task, main_table
from harness.report.markdown import markdown_text
from harness.report.sources import Sources
from harness.report.spreadsheet import write_csv
from harness.report.tables import Entry, Table, score_tables
from harness.report.write import write_report

FORMULAS = ["=1+1", "+SUM(A1)", "-cmd|' /C calc'!A0", "@x", "\t=1", "\r=1", " =1", '=HYPERLINK("x")']
HOSTILE = ["[2pt] x", "*", "a\x1b[31mb", "a\x00b", "中文 \U0001f600", "$x^2", r"\input{/etc/passwd}", "--", "a]]>b<!--"]
DOCUMENT = "\\documentclass{article}\\usepackage{booktabs,longtable}\\begin{document}\n%s\n\\end{document}\n"
BOXES = pytest.mark.filterwarnings("ignore:Glyph")  # drawn for what the font lacks
PDFLATEX = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def written(frame, tmp_path):
    write_csv(frame, tmp_path / "table.csv")
    text = (tmp_path / "table.csv").read_bytes().decode()
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_would_be_a_formula_does_not_begin_as_one(text, tmp_path):
    frame = pd.DataFrame({text: [1.5, 2.5], "name": [text, "plain"]})
    (head, first, second) = written(frame, tmp_path)
    for field in (head[0], first[1]):
        assert field[0] in "'\\" and field.endswith(text.strip())
    assert second == ["2.5", "plain"]


@given(st.text(max_size=30))
def test_no_cell_of_a_written_table_is_a_formula_or_breaks_its_line(tmp_path_factory, text):
    rows = written(pd.DataFrame({"name": [text]}), tmp_path_factory.mktemp("t"))
    assert len(rows) <= 2
    if len(rows) == 2:  # a blank line is how an empty cell is written
        assert rows[1][0].isprintable()
        assert not rows[1][0].lstrip().startswith(("=", "+", "@"))


def test_numbers_stay_numbers(tmp_path):
    frame = pd.DataFrame({"value": [-0.5, 2.0], "near": ["-0.500 ± 0.250", "-"], "far": ["-1e-05", "+3.5"]})
    assert written(frame, tmp_path) == [
        ["value", "near", "far"],
        ["-0.5", "-0.500 ± 0.250", "-1e-05"],
        ["2.0", "-", "+3.5"],
    ]


def test_a_report_writes_its_tables_so(tmp_path):
    cells = [Cell("dense", [1, 1]), Cell("=cmd()", [1, 0], 4, {"k": 1})]
    Folder(cells, model="@model").write(tmp_path / "results")
    found = load(tmp_path / "results")
    write_report(found, Sources(found), tmp_path / "report")
    for name in ("main", "scores"):
        text = (tmp_path / "report" / "tables" / f"{name}.csv").read_text()
        for row in csv.reader(io.StringIO(text)):
            assert not any(field.startswith(("=", "@", "+")) for field in row), row


@given(st.text())
def test_latex_text_holds_no_character_that_pdflatex_lacks(text):
    assert all((c.isascii() and c.isprintable()) or "\u00c0" <= c <= "\u00ff" or c in "µªº" for c in latex_text(text))


@given(st.text())
def test_markdown_text_is_one_line_without_control_characters(text):
    assert markdown_text(text).isprintable()


def many(names):
    """A folder of 45 methods, among them some with odd names."""
    cells = [Cell("dense", [1, 1, 0, 1])]
    cells += [Cell(f"method{i}", [1, 0, 1, 1], 4, {"k": i}) for i in range(45 - len(names))]
    return Folder(cells + [Cell(name, [0, 0, 1, 1], 8, {"k": i}) for i, name in enumerate(names)])


@PDFLATEX
def test_tables_of_45_methods_with_hostile_names_compile_and_fit_their_pages(tmp_path):
    many([name for name in HOSTILE if name.isprintable()]).write(tmp_path / "results")
    found = load(tmp_path / "results")
    odd = pd.DataFrame({"name": HOSTILE, "value": HOSTILE[::-1]})
    tables = [
        to_latex(score_tables(found)),
        frame_to_latex(by_task(main_table(found)), "main"),
        frame_to_latex(odd, "odd"),
    ]
    (tmp_path / "all.tex").write_text(DOCUMENT % "\n".join(tables))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull \\vbox" not in done.stdout


def test_the_best_of_a_column_is_bold_in_a_table_that_goes_on_over_pages():
    table = Table("title", ("4x",), (("a", (Entry("0.9", best=True),)), ("b", (Entry("0.1"),))))
    written = to_latex([table])
    assert r"a & \textbf{0.9} \\" in written and r"b & 0.1 \\" in written and r"\begin{longtable}" in written


@BOXES
def test_every_svg_of_a_report_is_well_formed_whatever_the_names_are(tmp_path):
    names = filter(str.isprintable, HOSTILE)
    cells = [Cell(name, [1, 0, 0, 1], 4, {"k": i}) for i, name in enumerate(names)]
    Folder([Cell("dense", [1, 1, 0, 1]), *cells], model=HOSTILE[-1], task=HOSTILE[0]).write(tmp_path / "results")
    drawings = save(draw_all(Sources(load(tmp_path / "results"))), tmp_path / "figures")
    assert drawings
    for drawing in drawings:
        ElementTree.parse(tmp_path / "figures" / f"{drawing.stem}.svg")


@BOXES
@given(st.text(max_size=40))
def test_a_label_makes_a_well_formed_svg(text):
    figure, file = Figure(), io.BytesIO()
    figure.text(0.1, 0.1, literal(text))
    figure.savefig(file, format="svg")
    assert ElementTree.fromstring(file.getvalue()).tag.endswith("svg")

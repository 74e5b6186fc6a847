"""Tables of hand-made folders, whose entries are known."""

import math

import pandas as pd
from support.report.folders import Cell, Folder, quarter_and_eighth

from harness.report.latex import latex_text, to_latex
from harness.report.load import load
from harness.report.main_table import by_task, largest_models, main_table
from harness.report.markdown import to_markdown
from harness.report.tables import Entry, score_tables, tidy


def markdown_line(root, method):
    lines = to_markdown(score_tables(load(root))).splitlines()
    (found,) = [line for line in lines if line.startswith(f"| {method} |")]
    return [entry.strip() for entry in found.strip("|").split("|")]


def test_a_table_has_a_line_per_method_and_a_column_per_ratio(tmp_path):
    quarter_and_eighth().write(tmp_path)
    (table,) = score_tables(load(tmp_path))
    assert table.columns == ("1x", "2x", "4x", "8x")
    assert [name for name, _ in table.lines] == ["Dense", "H2O", "SparQ"]
    assert table.title == "m on SQuAD (hub): Accuracy, higher is better, n = 4"


def test_scores_come_with_their_standard_error_and_the_paired_difference_to_dense(tmp_path):
    quarter_and_eighth().write(tmp_path)
    # H2O at 4: 1 0 0 0 has mean 0.25 and stderr 0.5/2; its differences to dense are 0 -1 -1 0: mean -0.5, stderr 0.289.
    assert markdown_line(tmp_path, "H2O")[3] == r"0.250 ± 0.250 ≈<br>-0.500 \[-1.077, +0.077\]"


def twenty(*sparq_h2o, **more):
    """Dense, SparQ and H2O at 4, with twenty examples of one score each: enough to tell 1 from 0, and 3 from 2."""
    sparq, h2o = ([score] * 20 for score in sparq_h2o)
    cells = [Cell("dense", [1] * 20), Cell("sparq", sparq, 4, {"k": 9}), Cell("h2o", h2o, 4, {"k": 9})]
    return Folder(cells, **more)


def test_the_best_of_a_column_is_bold_and_dense_is_no_rival(tmp_path):
    twenty(1, 0).write(tmp_path)
    assert markdown_line(tmp_path, "SparQ")[3].startswith("**1.000")
    assert "**" not in "".join(markdown_line(tmp_path, "Dense") + markdown_line(tmp_path, "H2O"))


def test_of_four_examples_none_is_called_the_best(tmp_path):
    quarter_and_eighth().write(tmp_path)
    assert "**" not in to_markdown(score_tables(load(tmp_path)))


def test_a_control_is_never_the_best(tmp_path):
    cells = [Cell("oracle_topk", [1] * 9, 4, {"k": 9}), Cell("h2o", [1] * 8 + [0], 4, {"k": 9})]
    Folder([Cell("dense", [1] * 9), *cells, Cell("window", [0] * 9, 4, {"k": 9})]).write(tmp_path)
    assert "**" not in markdown_line(tmp_path, "Oracle top-k")[3]
    assert markdown_line(tmp_path, "H2O")[3].startswith("**0.889")


def test_where_less_is_better_the_least_is_the_best(tmp_path):
    twenty(3, 2, metric="bits_per_character", higher=False).write(tmp_path)
    assert markdown_line(tmp_path, "H2O")[3].startswith("**2.000")


def test_a_cell_like_dense_is_marked_in_markdown_and_latex(tmp_path):
    twenty(1, 0).write(tmp_path)
    assert "≈" in markdown_line(tmp_path, "SparQ")[3] and "≈" not in markdown_line(tmp_path, "H2O")[3]
    assert to_latex(score_tables(load(tmp_path))).count(r"$\approx$") == 1


def test_more_cells_make_a_difference_to_dense_harder_to_tell(tmp_path):
    alike = [Cell("sparq", [1] * 20, 4, {"k": k}) for k in range(1, 10)]
    cells = [Cell("dense", [1] * 20), Cell("h2o", [0] * 4 + [1] * 16, 4, {"k": 9})]
    Folder(cells, model="few").write(tmp_path)
    Folder([*cells, *alike], model="many").write(tmp_path)
    # Four of twenty lost: two standard errors from 0, and p = 0.03.
    marked = [
        "≈" in line for line in to_markdown(score_tables(load(tmp_path))).splitlines() if line.startswith("| H2O")
    ]
    assert marked == [False, True]


def test_a_setting_off_its_column_says_which_compression_it_has(tmp_path):
    Folder([Cell("dense", [1, 1]), Cell("flexgen", [1, 0], 1.8, {"k": 32})]).write(tmp_path)
    line = markdown_line(tmp_path, "FlexGen")
    assert line[2].startswith("0.500 ± 0.500 @1.80x") and line[3] == "-"


def test_variants_of_a_method_are_told_apart_by_the_switch_that_differs(tmp_path):
    settings = [{"k": 9, "reallocate": True}, {"k": 9, "reallocate": False}]
    Folder([Cell("sparq", [1, 0], 4, knobs) for knobs in settings]).write(tmp_path)
    assert set(load(tmp_path).cells["variant"]) == {"SparQ (reallocate)", "SparQ (no reallocate)"}


def test_the_spreadsheet_keeps_every_cell_and_names_its_column(tmp_path):
    quarter_and_eighth().write(tmp_path)
    cells = tidy(load(tmp_path)).set_index(["method", "compression"])["column"]
    assert cells["sparq", 8.0] == 8 and cells["dense", 1.0] == 1 and len(cells) == 5


def test_the_main_table_shows_the_nearest_setting_and_the_value_in_between(tmp_path):
    Folder([Cell("dense", [1, 1]), Cell("h2o", [1, 1], 4, {"k": 2}), Cell("h2o", [1, 0], 16, {"k": 1})]).write(tmp_path)
    eighth = main_table(load(tmp_path)).set_index(["method", "ratio"]).loc[("H2O", 8)]
    # 8 lies half way between 4 and 16 in octaves: (1 + 0.5) / 2, and half of the errors 0 and 0.5.
    assert eighth["interpolated"] == "0.750 ± 0.250" and eighth["compression"] in (4, 16)


def test_nothing_is_extrapolated(tmp_path):
    quarter_and_eighth().write(tmp_path)
    half = main_table(load(tmp_path)).set_index(["method", "ratio"]).loc[("SparQ", 2)]
    assert half["interpolated"] == "-" and half["compression"] == 4


def test_a_setting_that_is_at_the_ratio_but_for_rounding_needs_no_interpolation(tmp_path):
    Folder([Cell("dense", [1, 1]), Cell("h2o", [1, 0], 2.001, {"k": 2})]).write(tmp_path)
    half = main_table(load(tmp_path)).set_index(["method", "ratio"]).loc[("H2O", 2)]
    assert half["interpolated"] == half["nearest setting"] == "0.500 ± 0.500"


def test_a_setting_more_than_a_factor_of_2_away_stands_for_nothing(tmp_path):
    Folder([Cell("dense", [1, 1]), Cell("flexgen", [1, 0], 1.9, {"k": 2})]).write(tmp_path)
    eighth = main_table(load(tmp_path)).set_index(["method", "ratio"]).loc[("FlexGen", 8)]
    assert eighth["nearest setting"] == "-" and math.isnan(eighth["compression"])


def test_the_main_table_is_printed_with_a_column_per_task(tmp_path):
    quarter_and_eighth().write(tmp_path)
    Folder([Cell("dense", [1, 0])], task="triviaqa").write(tmp_path)
    printed = by_task(main_table(load(tmp_path))).set_index(["method", "ratio", "value"])
    assert list(printed.columns) == ["model", "data", "SQuAD: Accuracy", "TriviaQA: Accuracy"]
    assert printed.loc[("H2O", "1/8", "nearest setting"), "SQuAD: Accuracy"] == "0.000 ± 0.000"
    assert printed.loc[("H2O", "1/8", "nearest setting"), "TriviaQA: Accuracy"] == "-"
    assert printed.loc[("SparQ", "1/2", "nearest setting"), "SQuAD: Accuracy"] == "0.750 ± 0.250 @ 1/4.00"
    assert printed.loc[("Dense", "1/1", "interpolated"), "TriviaQA: Accuracy"] == "0.500 ± 0.500"


def test_the_largest_model_of_each_family_is_in_the_main_table():
    models = ["llama-2-7b", "llama-2-13b", "llama-3-8b", "pythia-1.4b", "pythia-6.9b", "smollm2", "tiny-135m"]
    assert largest_models(models) == ["llama-2-13b", "llama-3-8b", "pythia-6.9b", "smollm2", "tiny-135m"]


def test_latex_and_markdown_print_special_characters_as_they_are(tmp_path):
    hostile = r"50%_$x^2$&#{}~\<script>|*"
    Folder([Cell(hostile, [1, 0], 4)], model=hostile.replace("<script>", "s")).write(tmp_path)
    tables = score_tables(load(tmp_path))
    for letter in "%_$&#{}":
        assert f"\\{letter}" in to_latex(tables)
    assert latex_text("\\") == r"\textbackslash{}" and "<script>" not in to_markdown(tables)
    assert r"\|\*" in to_markdown(tables)


def test_latex_has_one_table_per_panel(tmp_path):
    quarter_and_eighth().write(tmp_path)
    quarter_and_eighth(task="triviaqa").write(tmp_path)
    assert to_latex(score_tables(load(tmp_path))).count(r"\begin{longtable}") == 2


def test_cells_of_several_runs_keep_their_own_numbers(tmp_path):
    quarter_and_eighth().write(tmp_path)
    quarter_and_eighth(model="n").write(tmp_path)
    assert isinstance(load(tmp_path).cells, pd.DataFrame)
    assert load(tmp_path).cells.groupby("model").size().to_dict() == {"m": 5, "n": 5}


def test_a_cell_without_a_measurement_stands_in_no_column(tmp_path):
    nothing = {"compression": math.nan, "bytes_per_token": math.nan, "transfers_elements": math.nan, "cost": "measured"}
    Folder([Cell("dense", [1, 1]), Cell("h2o", [1, 0], 4, {"k": 9}, summary=nothing)]).write(tmp_path)
    cells = tidy(load(tmp_path)).set_index("method")
    assert cells.loc["dense", "column"] == 1 and math.isnan(cells.loc["h2o", "column"])
    assert score_tables(load(tmp_path))[0].lines[1][1] == (Entry(),) * 4

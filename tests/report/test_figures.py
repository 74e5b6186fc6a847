"""Figures from hand-made folders and benchmarks: they show what stands in the folder, and every file is written."""

import numpy as np
import pytest
from support.report.folders import Cell, Folder, quarter_and_eighth, write_needles

from harness.errors import InputError
from harness.report.against.published import published
from harness.report.drawing.save import file_stem, save
from harness.report.figures import draw_all, find, names
from harness.report.load import load
from harness.report.sources import Sources

FROM_RESULTS = ["agreement", "divergence", "length", "pareto", "retained", "tradeoff"]


def sources(root, **more):
    return Sources(load(root), **more)


def drawn(name, found, folder):
    return [drawing.stem for drawing in save(find(name).draw(found), folder)]


@pytest.mark.parametrize("name", FROM_RESULTS)
def test_a_figure_of_results_is_written_as_pdf_svg_and_png(tmp_path, name):
    quarter_and_eighth().write(tmp_path / "results")
    (stem,) = drawn(name, sources(tmp_path / "results"), tmp_path)
    for ending, start in (("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")):
        assert (tmp_path / f"{stem}.{ending}").read_bytes().startswith(start)


def test_the_divergence_of_runs_that_were_compared_is_drawn_at_the_bytes_they_moved(tmp_path):
    cells = [
        Cell("dense", [1, 0], summary={"kl": 0.0}),
        Cell("sparq", [1, 0], 4, {"k": 64}, 4, summary={"kl": 0.05}),
        Cell("sparq", [1, 0], 8, {"k": 32}, 8, summary={"kl": 0.5}),
    ]
    Folder(cells).write(tmp_path / "results")
    (drawing,) = find("kl").draw(sources(tmp_path / "results"))
    (curve,) = [line for line in drawing.figure.axes[0].lines if line.get_marker() != "None"]
    assert curve.get_xydata().tolist() == [[1024, 0.5], [2048, 0.05]]
    quarter_and_eighth().write(tmp_path / "plain")
    assert list(find("kl").draw(sources(tmp_path / "plain"))) == []


def test_the_same_data_give_the_same_bytes(tmp_path):
    quarter_and_eighth().write(tmp_path / "results")
    for folder in ("a", "b"):
        drawn("pareto", sources(tmp_path / "results"), tmp_path / folder)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_several_models_make_a_grid_and_one_does_not(tmp_path):
    quarter_and_eighth().write(tmp_path / "results")
    assert drawn("grid", sources(tmp_path / "results"), tmp_path) == []
    quarter_and_eighth(model="n", task="triviaqa").write(tmp_path / "results")
    assert drawn("grid", sources(tmp_path / "results"), tmp_path) == ["grid"]


def test_published_points_are_overlaid_hollow(tmp_path):
    quarter_and_eighth(model="llama-2-7b").write(tmp_path / "results")
    (drawing,) = find("tradeoff").draw(sources(tmp_path / "results", published=published()))
    hollow = [line for line in drawing.figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 4  # SparQ, H2O, LM-Infinite, FlexGen
    assert "published" in [text.get_text() for text in drawing.figure.legends[0].get_texts()]


def test_marks_stand_at_shares_of_dense_in_bytes(tmp_path):
    quarter_and_eighth().write(tmp_path / "results")
    (drawing,) = find("tradeoff").draw(sources(tmp_path / "results"))
    marks = {text.get_text(): text.xy[0] for text in drawing.figure.axes[0].texts}
    assert marks == {"dense": 8192, "1/2": 4096, "1/4": 2048, "1/8": 1024}


def test_equal_scores_do_not_stretch_the_axis_to_their_rounding_errors(tmp_path):
    Folder([Cell("dense", [0, 0]), Cell("h2o", [0, 0], 4, {"k": 1})]).write(tmp_path / "results")
    (drawing,) = find("tradeoff").draw(sources(tmp_path / "results"))
    low, high = drawing.figure.axes[0].get_ylim()
    assert -0.02 < low < 0 and high > 0.04


def test_a_gap_is_marked_in_the_figure(tmp_path):
    Folder([Cell("dense", [1, 1]), Cell("h2o", [1, float("nan")], 4, {"k": 1})]).write(tmp_path / "results")
    (drawing,) = find("tradeoff").draw(sources(tmp_path / "results"))
    assert "x" in [line.get_marker() for line in drawing.figure.axes[0].lines]


@pytest.mark.parametrize("values", [[float("nan")], [1.0]])
def test_a_folder_of_one_example_or_none_valid_draws_without_an_error(tmp_path, values):
    Folder([Cell("dense", values), Cell("h2o", values, 4, {"k": 1})]).write(tmp_path / "results")
    assert save(draw_all(sources(tmp_path / "results")), tmp_path)


def test_names_with_formula_characters_are_drawn_as_they_are(tmp_path):
    Folder([Cell("dense", [1, 0]), Cell("$x_^{", [1, 0], 4)], task="a$b", model="../m").write(tmp_path / "results")
    stems = [drawing.stem for drawing in save(draw_all(sources(tmp_path / "results")), tmp_path / "out")]
    assert "tradeoff-..-m-hub-a-b" in stems and file_stem("a/../b") == "a-..-b"


def test_the_needle_map_joins_lengths_and_shows_what_was_not_run(tmp_path):
    write_needles(tmp_path / "results")
    (drawing,) = find("needle").draw(sources(tmp_path / "results"))
    dense, sparq, _ = drawing.figure.axes
    np.testing.assert_array_equal(sparq.images[0].get_array().filled(-1), [[1, 1], [0, -1]])
    assert [ax.get_title() for ax in (dense, sparq)] == ["Dense", "SparQ (8x)"]


def test_needles_of_knobs_that_no_ratio_asked_for_are_titled_by_the_knobs(tmp_path):
    columns = {"length": [1024, 1024], "depth": [0.0, 1.0]}
    Folder([Cell("h2o", [1, 0], 8, {"k": 128})], task="needle_1024", columns=columns).write(tmp_path / "results")
    (drawing,) = find("needle").draw(sources(tmp_path / "results"))
    assert drawing.figure.axes[0].get_title() == "H2O (k=128)"


def test_an_unknown_figure_is_one_sentence():
    with pytest.raises(InputError, match="unknown figure 'x': choose from agreement"):
        find("x")


def test_every_figure_is_drawn_by_some_test():
    assert set(names()) == {
        *FROM_RESULTS,
        "kl",
        "grid",
        "needle",
        "attention_time",
        "attention_speedup",
        "generate_speedup",
    }

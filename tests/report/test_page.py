"""The interactive page: what is in the file."""

import json
import re

from support.report.folders import Cell, Folder, quarter_and_eighth
from support.report.reading import HOSTILE, page

from harness.report.load import load
from harness.report.page.build import embedded
from harness.report.page.texts import MOST_EXAMPLES, sample
from harness.tables.marks import DECIDED, INTERVAL, MEANING


def data_of(html):
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])


def test_the_page_names_no_server(tmp_path):
    quarter_and_eighth().write(tmp_path)
    html = page(tmp_path)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?(https?:)?//", html)
    assert "default-src 'none'" in html


def test_what_a_model_wrote_stays_inside_its_script_element(tmp_path):
    Folder([Cell("dense", [1]), Cell("h2o", [0], 4, {"k": 1}, text=HOSTILE)]).write(tmp_path)
    html = page(tmp_path)
    assert html.count("<script") == 3 + html.count('"<script')
    (example,) = data_of(html)["subjects"]["m\nhub\nsquad"]["examples"]
    assert HOSTILE in example["outputs"].values()


def test_a_lone_surrogate_does_not_break_the_file():
    assert json.loads(embedded(["\ud800"])) == ["?"]


def test_cells_carry_what_hovering_shows(tmp_path):
    quarter_and_eighth().write(tmp_path)
    (panel,) = data_of(page(tmp_path))["panels"]
    cell = next(cell for cell in panel["cells"] if cell["method"] == "h2o")
    assert cell["setting"] == "k=200" and cell["n"] == 4 and cell["difference"] == "-0.500 [-1.077, +0.077] ≈"


def test_the_page_says_what_its_marks_mean(tmp_path):
    quarter_and_eighth().write(tmp_path)
    for words in (MEANING, INTERVAL, DECIDED, "length of the prompt, in the precision of the run", "2S + 1 elements"):
        assert words in page(tmp_path)


def test_a_panel_says_which_share_the_first_token_decides(tmp_path):
    cells = [
        Cell("dense", [1, 1], summary={"decided": 0.5}),
        Cell("h2o", [1, 0], 8, {"k": 9}, summary={"decided": 0.5}),
    ]
    Folder(cells).write(tmp_path)
    (panel,) = data_of(page(tmp_path))["panels"]
    assert panel["decided"] == ", 0.50 decided by the first token"


def test_cells_say_what_ratio_they_reached_and_bytes_their_precision(tmp_path):
    cells = [Cell("dense", [1, 1]), Cell("h2o", [1, 0], 7.9, {"k": 9}, 8), Cell("h2o", [1, 0], 7.2, {"k": 10}, 8)]
    Folder([*cells, Cell("window", [1, 0], 5, {"k": 3})]).write(tmp_path)
    (panel,) = data_of(page(tmp_path))["panels"]
    assert {cell["ratio"] for cell in panel["cells"]} == {"1.00", "7.90", "7.20 (asked 8)", "5.00"}
    assert panel["precision"] == " (float16)"


def test_cells_say_what_they_hold_and_how_what_they_move_is_known(tmp_path):
    kept = Cell("h2o", [1, 0], 4, {"k": 9}, summary={"memory_compression": 3.5, "memory_ratio": 4, "cost": "measured"})
    Folder([Cell("dense", [1, 1]), kept]).write(tmp_path)
    (panel,) = data_of(page(tmp_path))["panels"]
    assert [(cell["ratio"], cell["memory"]) for cell in panel["cells"]] == [
        ("1.00", "1.00"), ("4.00 measured", "3.50 (asked 4)")
    ]  # fmt: skip


def test_examples_are_a_sample_that_says_so(tmp_path):
    Folder([Cell("dense", [1.0] * 100)]).write(tmp_path)
    results = load(tmp_path)
    found = sample(results, [panel for panel, _ in results.panels()], 10**6)
    assert len(found.examples) == MOST_EXAMPLES and found.of == 100
    assert [e.id for e in found.examples] == [
        e.id for e in sample(results, [p for p, _ in results.panels()], 10**6).examples
    ]


def test_each_model_is_shown_with_its_own_answers(tmp_path):
    for model in ("a", "b"):
        Folder([Cell("dense", [1], text=f"said by {model}")], model=model).write(tmp_path)
    subjects = data_of(page(tmp_path))["subjects"]
    assert {key[0]: list(subjects[key]["examples"][0]["outputs"].values()) for key in subjects} == {
        "a": ["said by a"],
        "b": ["said by b"],
    }


def test_texts_are_cut_to_the_room_there_is(tmp_path):
    Folder([Cell("dense", [1.0] * 20, text="x" * 5000)]).write(tmp_path)
    results = load(tmp_path)
    found = sample(results, [panel for panel, _ in results.panels()], 3000)
    assert 0 < len(found.examples) <= 5 and all(len(e.outputs["dense-" + e_id(e)]) <= 601 for e in found.examples)


def e_id(example):
    (cell,) = example.outputs
    return cell.removeprefix("dense-")

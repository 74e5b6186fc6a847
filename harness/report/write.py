"""Writes a whole report into a folder: tables, figures, verdicts, notices, and the interactive page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from harness.report.against.verdicts import verdicts
from harness.report.drawing.save import Drawing, save
from harness.report.figures import draw_all
from harness.report.latex import frame_to_latex, to_latex
from harness.report.load import Results
from harness.report.main_table import by_task, main_table
from harness.report.markdown import frame_to_markdown, markdown_text, to_markdown
from harness.report.page.build import build_page
from harness.report.page.content import content
from harness.report.sources import Sources
from harness.report.spreadsheet import write_csv
from harness.report.tables import LEGEND, score_tables, tidy
from harness.store.files import write_whole

MAIN = (
    "Largest model of each family at 1/2 and 1/8 of dense's transfers: the nearest setting, at most a factor of 2 away "
    "(@: what it moves, where it is not that), and the value in between, linear in log2 of the compression (-: no "
    "setting on one side)."
)


class Written(NamedTuple):
    """Holds the verdicts, where published numbers are overlaid, and all that the report says was left out."""

    verdicts: pd.DataFrame | None
    notices: list[str]


def write_report(results: Results, sources: Sources, folder: Path) -> Written:
    """Write everything that the sources allow."""
    folder.mkdir(parents=True, exist_ok=True)
    judged = verdicts(results) if sources.published is not None else None
    _write_tables(results, folder / "tables")
    if judged is not None:
        write_csv(judged, folder / "tables" / "verdicts.csv")
    write_whole(folder / "figures.md", captions(save(draw_all(sources), folder / "figures"), "figures/"))
    shown = content(results, sources.published, judged)
    notices = [*sources.left_out, *shown["notices"]]
    write_whole(folder / "index.html", build_page({**shown, "notices": notices}))
    write_whole(folder / "notices.md", _bullets(notices))
    return Written(judged, notices)


def captions(drawings: Sequence[Drawing], folder: str = "") -> str:
    """Write the figures with their captions as one Markdown page."""
    return "\n".join(
        f"![{drawing.stem}]({folder}{drawing.stem}.png)\n\n**{drawing.stem}**: {markdown_text(drawing.caption)}\n"
        for drawing in drawings
    )


def _write_tables(results: Results, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    tables, main = score_tables(results), main_table(results)
    printed = by_task(main)
    write_csv(tidy(results), folder / "scores.csv")
    write_csv(main, folder / "main.csv")
    write_whole(folder / "scores.md", f"{LEGEND}\n\n{to_markdown(tables)}")
    write_whole(folder / "scores.tex", to_latex(tables))
    write_whole(folder / "main.md", f"{MAIN}\n\n{frame_to_markdown(printed)}")
    write_whole(folder / "main.tex", frame_to_latex(printed, MAIN))


def _bullets(sentences: Sequence[str]) -> str:
    return "".join(f"- {markdown_text(sentence)}\n" for sentence in sentences) or "Nothing was left out.\n"

"""Shows a person at the terminal what runs, how far it is and what came out."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pandas as pd
from rich import box
from rich import console as rich_console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from harness.sweep.job import Job
from harness.sweep.plan import Plan
from harness.tables.marks import HOW_KNOWN, INTERVAL, LIKE_DENSE, MEANING, like_dense
from harness.tables.text import decided, difference, held, precision, reached, setting, with_error
from harness.text import printable

DETACHED_WIDTH = 160


class Console:
    """Prints progress and tables on standard output."""

    def __init__(self) -> None:
        detached = None if sys.stdout.isatty() else DETACHED_WIDTH
        self._out = rich_console.Console(width=detached)

    def announce(self, folder: Path, job: Job, data: str, plan: Plan) -> None:
        """Say what is about to run, and what cannot."""
        self._out.rule(escape(f"{job.model.name} on {job.task.label}"))
        if job.model.license:
            self.say(f"{job.model.name} is used under its own terms: {job.model.license}")
        if job.data.kind == "auto" and data == "embedded":
            self._out.print("[yellow]The hub cannot be reached: using the embedded corpus (data=hub insists).[/]")
        for reason in dict.fromkeys(skip.reason for skip in plan.skipped):
            self._out.print(f"[yellow]skipped:[/] {escape(reason)}")
        self._out.print(f"{len(plan.cells)} cells, data {data} -> {escape(str(folder))}", highlight=False)

    @contextmanager
    def progress(self, total: int, each: float | None = None) -> Iterator[Callable[[int], None]]:
        """Show a bar over example runs with an estimate of what is left.

        Until the first are done, `each` seconds that one took in earlier launches tell, if there were any.
        """
        columns = (
            TextColumn("example runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
        )
        with Progress(*columns, _Left(each), console=self._out, transient=True) as bar:
            task = bar.add_task("run", total=total)
            yield lambda count: bar.advance(task, count)

    def table(self, summary: pd.DataFrame, results: Path) -> None:
        """Print a line per cell and metric, and where to look further."""
        for (task, metric), group in summary.groupby(["task", "metric"], sort=False):
            arrow = "higher" if group["higher_is_better"].iloc[0] else "lower"
            examples = int(group["n"].max())
            title = (
                f"{group['model'].iloc[0]} on {task}: {metric} ({arrow} is better, {examples} examples{decided(group)})"
            )
            self._out.print(_table(escape(title), group))
        footnotes = (
            f"ratio: dense / method transfers{_where_solved(summary)}; memory: dense / method bytes held; MB/token: a "
            "decode step at the prompt's length; ms: decoding per example",
            *_how_known(summary),
            f"score ± standard error; vs dense: {INTERVAL}",
            MEANING,
            f"figures, tables and a page to read the outputs: harness report {escape(str(results))}",
        )
        self._out.print("\n".join(footnotes), style="dim", highlight=False)

    def say(self, text: str) -> None:
        """Print one line."""
        self._out.print(escape(printable(text)), highlight=False)


class _Left(ProgressColumn):
    """Shows the time that is left: what is done took, on average, as long as what is not."""

    def __init__(self, each: float | None) -> None:
        super().__init__()
        self._each = each

    def render(self, task: Task) -> Text:
        """Write hours, minutes and seconds, or dashes where nothing tells."""
        each = (task.elapsed or 0.0) / task.completed if task.completed else self._each
        left = task.remaining
        shown = "-:--:--" if each is None or left is None else str(timedelta(seconds=int(each * left)))
        return Text(shown, style="progress.remaining")


def _where_solved(summary: pd.DataFrame) -> str:
    """Say where knobs were solved for a ratio, if any were; a range is of those solved for each example."""
    where = {"task": "a task's mean prompt length", "example": "each example's own length (k=a..b)"}
    found = [where[per] for per in where if (summary["per"] == per).any()]
    return f", solved at {' or '.join(found)}" if found else ""


def _how_known(summary: pd.DataFrame) -> list[str]:
    """Explain the words behind a ratio that is not known from knobs and length alone."""
    said = " ".join(summary["cost"].dropna().astype(str))
    return [f"{word}: {means}" for word, means in HOW_KNOWN.items() if word in said]


def _table(title: str, group: pd.DataFrame) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in ("method", "knobs"):
        table.add_column(name)
    for name in ("ratio", "memory", f"MB/token{precision(group)}".replace(" ", "\n"), "score", "vs dense [95%]", "ms"):
        table.add_column(name, justify="right")
    for line in group.assign(like_dense=like_dense(group)).to_dict("records"):
        table.add_row(
            str(line["method"]),
            escape(setting(line["params"])),
            reached(line),
            held(line),
            f"{line['bytes_per_token'] / 1e6:.1f}" if math.isfinite(line["bytes_per_token"]) else "-",
            with_error(line["value"], line["stderr"]),
            (difference(line) or "-") + (f" {LIKE_DENSE}" if line["like_dense"] else ""),
            f"{line['seconds'] * 1000:.0f}",
        )
    return table

"""Says which runs hold outputs of several commits or versions of a library: their tables are not of one program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pandas as pd

from harness.report.runs import Run
from harness.store.lines import read_launches
from harness.store.notes import Notes
from harness.store.records import Launch

UNKNOWN = "a launch that launches.jsonl does not have"
COMMIT = 10
"""Characters of a commit's hash that tell it from others."""


def mixed_versions(run: Run) -> Iterator[str]:
    """Say of a run whose reported rows come from more than one commit, or from several versions of a library."""
    rows = run.rows(["launch", "cell", "example"])
    if "launch" not in rows:
        return
    notes = Notes()
    launches = {launch.launch: launch for launch in read_launches(run.folder, notes)}
    yield from notes.sentences()
    outputs = rows[["launch", "cell", "example"]].drop_duplicates()
    commits = Counter(_commit(launches.get(str(launch))) for launch in outputs["launch"])
    if len(commits) > 1:
        parts = ", ".join(f"{count} of {commit}" for commit, count in commits.most_common())
        yield f"{run.name} holds outputs of more than one commit: {parts} (column `launch` of rows.parquet names each)"
    there = [launches[name] for name in map(str, outputs["launch"].unique()) if name in launches]
    differing = _differing([launch.versions for launch in there])
    if differing:
        parts = ", ".join(f"{name} {' and '.join(versions)}" for name, versions in differing.items())
        yield f"{run.name} holds outputs of more than one version: {parts}"


def _commit(launch: Launch | None) -> str:
    if launch is None:
        return UNKNOWN
    commit, changed, _ = launch.commit.partition("+")
    return f"{commit[:COMMIT]}{'+changes' if changed else ''}" if commit else "an unknown commit"


def _differing(versions: list[Mapping[str, str]]) -> dict[str, list[str]]:
    """Find the libraries of which some launches had other versions than others had."""
    found = pd.DataFrame([dict(one) for one in versions])
    return {str(name): sorted(of.dropna().unique()) for name, of in found.items() if of.nunique() > 1}

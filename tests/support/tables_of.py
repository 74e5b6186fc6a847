"""What the tests compare: every table below a results folder, without timings and the names of launches."""

import pandas as pd


def tables(results):
    """Text of each table by file name."""
    files = [*results.glob("summary.csv"), *results.glob("*/summary.csv")]
    found = {f.relative_to(results): pd.read_csv(f, dtype=str) for f in files}
    found |= {f.relative_to(results): pd.read_parquet(f) for f in results.glob("*/rows.parquet")}
    kept = {name: frame.drop(columns=["seconds", "launch"], errors="ignore") for name, frame in found.items()}
    return {str(name): frame.to_csv() for name, frame in kept.items()}


def only_run(results):
    """The one run's folder."""
    (folder,) = results.glob("custom-*")
    return folder

"""Fit the constants of harness/forecast/time_model.yaml on the committed measurements of docs/speed/, and check them.

python scripts/fit_time_model.py [--check]: writes the file, or only says whether it is what the fit gives.

Attention constants come from attention_grid.csv and attention_bars.csv and never see generate.csv, whose steps they
are then compared with. From generate.csv comes the share of the bandwidth at which weights are read, for nothing else
has measured it; from docs/speed/README.md the time of the sweep that call_us explains.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from benchmark_sweep import GRIDS
from scipy.optimize import nnls

from harness import methods
from harness.forecast.time_model import CONSTANTS, LAUNCHED, MEASURED, Attention, Decoding, ModelSize, TimeModel

SPEED = Path(__file__).resolve().parents[1] / "docs" / "speed"
SLOW = "math|packed"
"""SDPA's paths that nobody would choose."""
LLAMA_7B = ModelSize(parameters=32 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * 49152, layers=32, kv_heads=32)
"""llama-2-7b-shape, which generate.csv and the sweep ran."""
SWEEP_SECONDS, PROMPT, ROWS, STEPS = 5.67, 1500, 32, 31
"""docs/speed/README.md, "The sweep on a GPU"; its cells are those of the paper's grid in benchmark_sweep.py."""
PREFILL_SHARE = 0.4
HEADER = """# Written by scripts/fit_time_model.py; tests/forecast/ holds that it is what the fit gives.
# Measured on: {device}, torch {torch}, triton {triton} (docs/speed/)
# attention: attention_grid.csv and attention_bars.csv, kernels inside a CUDA graph, SparQ with K stored twice
# weights_share: generate.csv, rest_ms;  call_us: the sweep of docs/speed/README.md;  prefill_share: assumed
"""


def main() -> int:
    """Write or check the file; print how well it predicts generate.csv."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the file is not the fit")
    text = fitted()
    if parser.parse_args().check:
        same = CONSTANTS.read_text(encoding="utf-8") == text
        print("the stored constants are what the fit gives" if same else "the stored constants are stale")
        return 0 if same else 1
    CONSTANTS.write_text(text, encoding="utf-8")
    for name, predicted, measured in steps(TimeModel.stored()):
        print(f"{name:<28} {predicted:6.2f} ms predicted, {measured:6.2f} measured, {predicted / measured - 1:+.0%}")
    return 0


def fitted() -> str:
    """Return the text of the file."""
    points = measurements()
    kernels = {str(name): kernel(group) for name, group in points.groupby("name")}
    rest = pd.read_csv(SPEED / "generate.csv")["rest_ms"].iloc[0] / 1e3
    share = LLAMA_7B.parameters * LLAMA_7B.bytes_per_element / (rest * MEASURED.bandwidth)
    constants = {"weights_share": _short(share), "prefill_share": PREFILL_SHARE}
    model = TimeModel(**constants, call_us=0.0, attention={name: Attention(**found) for name, found in kernels.items()})
    constants["call_us"] = _short(call_us(model))
    header = HEADER.format(**points.iloc[0][["device", "torch", "triton"]])
    return header + yaml.safe_dump(constants | {"attention": kernels}, sort_keys=False)


def measurements() -> pd.DataFrame:
    """Return every timed call of attention."""
    table = pd.concat([pd.read_csv(SPEED / f"attention_{part}.csv") for part in ("grid", "bars")], ignore_index=True)
    table = table.dropna(subset="us")  # a line that is wrong or unsupported has no time
    access = table["method"].map(lambda name: methods.find(name).about.access)
    once = (access == "channels") & (table["k_stored"] == 1)
    paid = ~table["method"].map(lambda name: methods.find(name).oracle)  # an oracle's bytes leave out how it chooses
    table = table[~once & paid & ~table["path"].str.contains(SLOW)].copy()
    table["name"] = access + "/" + table["path"]
    table["head"] = table["bytes"] / (table["batch"] * table["kv_heads"])
    return table


def kernel(group: pd.DataFrame) -> dict[str, float]:
    """Fit the constants of one kernel, not negative, by least squares of relative errors.

    Where every head read as much, latency and chain cannot be told apart: half of what they took goes to each.
    """
    terms = np.stack([np.ones(len(group)), group["head"] / 1e3, group["bytes"] / 1e6], axis=1)
    alike = group["head"].nunique() == 1
    terms[:, 1] *= not alike
    (fixed, chain, per_mb), _ = nnls(terms / group[["us"]].to_numpy(), np.ones(len(group)))
    if alike:
        fixed, chain = fixed / 2, fixed / 2 / (group["head"].iloc[0] / 1e3)
    share = 1e12 / (per_mb * MEASURED.bandwidth)
    return {"fixed_us": _short(fixed), "chain_us_per_kb": _short(chain), "share": _short(share)}


def call_us(model: TimeModel) -> float:
    """Return what the sweep took beside its prefill and kernels, per cell and layer of the launched steps."""
    n = PROMPT
    flops = 2 * LLAMA_7B.parameters * n + 2 * n * n * 4096 * LLAMA_7B.layers
    prefill = model.prefill_seconds(MEASURED, ROWS * flops)
    cells = [
        ("dense", {}),
        *((name, {str(knob): v}) for name, (knob, values) in GRIDS["paper"].items() for v in values),
    ]
    per_token = LLAMA_7B.kv_heads * LLAMA_7B.layers * LLAMA_7B.bytes_per_element
    made = [methods.create(name, **knobs) for name, knobs in cells]
    reads = [(method.about.access, method.transfers(n, 128) * per_token) for method in made]
    kernels = Decoding(STEPS, ROWS, reads).kernel_seconds(model, MEASURED, LLAMA_7B)
    return (SWEEP_SECONDS - prefill - kernels) / (LAUNCHED * len(cells) * LLAMA_7B.layers) * 1e6


def steps(model: TimeModel) -> Iterator[tuple[str, float, float]]:
    """Yield each step of generate.csv: its name, predicted and measured ms."""
    for row in pd.read_csv(SPEED / "generate.csv").to_dict("records"):
        method = methods.create(row["method"], **ast.literal_eval(row["params"]))
        moved = method.transfers(row["seq"], 128) * LLAMA_7B.kv_heads * LLAMA_7B.layers * LLAMA_7B.bytes_per_element
        attention = model.kernel(method.about.access, row["backend"].replace("-", " "))
        seconds = model.linear_seconds(MEASURED, LLAMA_7B, row["batch"])
        seconds += attention.seconds(MEASURED, LLAMA_7B, moved, row["batch"])
        yield f"{row['method']} {row['backend']}", seconds * 1e3, row["ms_per_token"]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


if __name__ == "__main__":
    sys.exit(main())

"""Fit the constants of harness/forecast/time_model.yaml on the committed measurements of docs/speed/, and check them.

python scripts/fit_time_model.py [--check]: writes the file, and the table of docs/speed/README.md that says how well it
predicts what it has not seen; or only says whether the file is what the fit gives.

Attention constants come from attention_*.csv and never see generate.csv, whose steps they are then compared with; each
method, family and card is also predicted by a fit that has not seen it. From generate.csv comes the share of the
bandwidth at which weights are read, for nothing else has measured it; from docs/speed/README.md the time of the sweep
that call_us explains.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from typing import Any

import pandas as pd
import yaml
from benchmark_sweep import GRIDS
from marked import replaced
from speed_rows import SPEED, Measured, by, in_torch, measured, ours
from time_passes import dense, kernels_alone, launched, shared_path, short
from unseen import left_out, left_out_launched, table_of

from harness import methods
from harness.attention import LayerShape
from harness.forecast.device import MEASURED, ModelSize, Traffic
from harness.forecast.time_model import CONSTANTS, LAUNCHED, Decoding, TimeModel
from harness.sweep.traffic import traffic_of

LLAMA_7B = ModelSize(parameters=32 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * 49152, layers=32, kv_heads=32)
"""llama-2-7b-shape, which generate.csv and the sweep ran."""
LAYERS = (LayerShape(32, 128),) * 32
SWEEP_SECONDS, PROMPT, ROWS, STEPS = 5.67, 1500, 32, 31
"""docs/speed/README.md, "The sweep on a GPU"; its cells are those of the paper's grid in benchmark_sweep.py."""
PREFILL_SHARE = 0.4
"""Assumed, of the peak arithmetic."""
HEADER = """# Written by scripts/fit_time_model.py; tests/forecast/ holds that it is what the fit gives.
# reading, choosing: our kernels inside a CUDA graph, SparQ with K stored twice; dense: backends of SDPA and rivals
#   (docs/speed/attention_*.csv, which name card, versions and commit)
# torch: {torch}
# weights_share: generate.csv, rest_ms;  call_us: the sweep of docs/speed/README.md;  prefill_share: assumed
"""
IN_TORCH = {
    True: "attention_families.csv, launched from Python",
    False: "assumed, not measured: the latency is call_us",
}


def main() -> int:
    """Write or check the file; print how well it predicts what it was not fitted on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the file is not the fit")
    text = fitted()
    if parser.parse_args().check:
        same = CONSTANTS.read_text(encoding="utf-8") == text
        print("the stored constants are what the fit gives" if same else "the stored constants are stale")
        return 0 if same else 1
    CONSTANTS.write_text(text, encoding="utf-8")
    for name, predicted, found in steps(TimeModel.stored()):
        print(f"{name:<28} {predicted:6.2f} ms predicted, {found:6.2f} measured, {predicted / found - 1:+.0%}")
    rows = measured()
    table = table_of(left_out(ours(rows)) | left_out_launched(in_torch(rows)))
    print(f"\n{table}")
    page = SPEED / "README.md"
    text = replaced(page.read_text(encoding="utf-8"), "what was not fitted on", "fit_time_model.py", table)
    page.write_text(text, encoding="utf-8")
    return 0


def fitted() -> str:
    """Return the text of the file."""
    rows = measured()
    rest = pd.read_csv(SPEED / "generate.csv")["rest_ms"].iloc[0] / 1e3
    share = LLAMA_7B.parameters * LLAMA_7B.bytes_per_element / (rest * MEASURED.bandwidth)
    constants: dict[str, Any] = {"weights_share": short(share), "prefill_share": PREFILL_SHARE}
    passes = shared_path(ours(rows))
    constants["call_us"] = short(call_us(kernels_alone(passes, **constants)))
    passes["torch"] = launched(in_torch(rows), constants["call_us"])
    passes["dense"] = {path: dense(group) for path, group in by(rows, _backend).items() if path}
    header = HEADER.format(torch=IN_TORCH[bool(in_torch(rows))])
    return header + yaml.safe_dump(constants | passes, sort_keys=False)


def call_us(model: TimeModel) -> float:
    """Return what the sweep took beside its prefill and kernels, per cell and layer of the launched steps."""
    n = PROMPT
    flops = 2 * LLAMA_7B.parameters * n + 2 * n * n * 4096 * LLAMA_7B.layers
    prefill = model.prefill_seconds(MEASURED, ROWS * flops)
    cells: list[tuple[str, dict[str, Any]]] = [("dense", {})]
    cells += [(name, {str(knob): v}) for name, (knob, values) in GRIDS["paper"].items() for v in values]
    reads = [_traffic(name, knobs, n) for name, knobs in cells]
    kernels = Decoding(STEPS, ROWS, reads).kernel_seconds(model, MEASURED, LLAMA_7B)
    return (SWEEP_SECONDS - prefill - kernels) / (LAUNCHED * len(cells) * LLAMA_7B.layers) * 1e6


def steps(model: TimeModel) -> Iterator[tuple[str, float, float]]:
    """Yield each step of generate.csv: its name, predicted and measured ms."""
    for row in pd.read_csv(SPEED / "generate.csv").to_dict("records"):
        traffic = _traffic(row["method"], ast.literal_eval(row["params"]), row["seq"])
        backend = model.dense.get(row["backend"].replace("-", " "))
        of = MEASURED, LLAMA_7B
        attention = (
            backend.seconds(*of, traffic.moved, row["batch"])
            if backend
            else model.attention_seconds(*of, traffic, row["batch"])
        )
        seconds = model.linear_seconds(*of, row["batch"]) + attention
        yield f"{row['method']} {row['backend']}", seconds * 1e3, row["ms_per_token"]


def _traffic(name: str, knobs: dict[str, Any], n: int) -> Traffic:
    return traffic_of(name, methods.create(name, **knobs), LAYERS, n, LLAMA_7B.bytes_per_element)


def _backend(row: Measured) -> str:
    """Name a backend of dense attention that is not ours; "" for ours."""
    return "" if row.path in ("triton", "torch") else row.path


if __name__ == "__main__":
    sys.exit(main())

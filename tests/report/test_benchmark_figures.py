"""Figures of benchmarks, from small CSVs whose speed-ups are known."""

import pandas as pd
import pytest

from harness.errors import InputError
from harness.report.drawing.save import save
from harness.report.figures import draw_all, find
from harness.report.sources import Sources, read_benchmarks
from harness.report.timings import series, with_speedup


def attention_csv(folder):
    shape = {"device": "D", "heads": 32, "kv_heads": 32, "head_dim": 128, "dtype": "float16"}
    lines = [
        {**shape, "method": method, "batch": b, "seq": s, "r": r, "k": k, "median_us": us, "p10_us": us, "p90_us": us}
        for b in (1, 64)
        for s in (1024, 2048)
        for method, r, k, us in (
            ("sdpa-a", None, None, b * s),
            ("sdpa-b", None, None, 2 * b * s),
            ("sparq", 32, 128, b * s / 4),
        )
    ]
    pd.DataFrame(lines).to_csv(folder / "attention.csv", index=False)
    return folder / "attention.csv"


def generate_csv(folder):
    lines = [
        {"device": "D", "model": "m", "method": method, "batch": 1, "seq": s, "ms_per_token": ms}
        for s in (1024, 2048)
        for method, ms in (("dense", 8), ("h2o", 4))
    ]
    pd.DataFrame(lines).to_csv(folder / "generate.csv", index=False)
    return folder / "generate.csv"


def test_a_speedup_is_over_the_fastest_dense_of_the_same_shape(tmp_path):
    attention, _ = read_benchmarks([attention_csv(tmp_path)])
    times = with_speedup(attention, "median_us")
    assert set(times.loc[times["method"] == "sparq", "speedup"]) == {4.0}
    assert set(times.loc[times["method"] == "sdpa-b", "speedup"]) == {0.5}


def test_without_dense_there_is_no_speedup(tmp_path):
    attention, _ = read_benchmarks([attention_csv(tmp_path)])
    times = with_speedup(attention[attention["method"] == "sparq"], "median_us")
    assert times["speedup"].isna().all()


def test_benchmarks_are_drawn_per_query(tmp_path):
    attention, generate = read_benchmarks([attention_csv(tmp_path), generate_csv(tmp_path)])
    assert [timed.label for timed in series(attention, "median_us")] == ["Dense (fastest)", "SparQ (r = 32, k = 128)"]
    found = Sources(None, None, attention, generate)
    (drawing,) = find("attention_time").draw(found)
    dense, sparq = drawing.figure.axes[0].lines
    assert dense.get_ydata().tolist() == [1024, 2048] and sparq.get_ydata().tolist() == [256, 512]
    stems = [drawing.stem for drawing in save(draw_all(found), tmp_path)]
    assert stems == ["attention_speedup-D", "attention_time", "generate_speedup"]


def test_a_benchmark_of_another_version_is_drawn_with_what_it_has(tmp_path):
    file = attention_csv(tmp_path)
    pd.read_csv(file).drop(columns=["p10_us", "p90_us"]).assign(added=1).to_csv(file, index=False)
    attention, generate = read_benchmarks([file])
    (drawing,) = find("attention_time").draw(Sources(None, None, attention, generate))
    assert [line.get_ydata().tolist() for line in drawing.figure.axes[0].lines] == [[1024, 2048], [256, 512]]
    assert save([drawing], tmp_path)


def test_a_file_that_is_no_benchmark_is_one_sentence(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="lacks the column method"):
        read_benchmarks([tmp_path / "x.csv"])
    with pytest.raises(InputError, match="does not exist"):
        read_benchmarks([tmp_path / "y.csv"])


def test_the_columns_of_harness_bench_are_understood(tmp_path):
    lines = [
        {"batch": 4, "s": 1024, "method": method, "path": path, "k_stored": 1, "us": us, "us_p10": us, "us_p90": us}
        for method, path, us in (("dense", "sdpa math", 8.0), ("dense", "triton", 4.0), ("sparq", "triton", 2.0))
    ]
    pd.DataFrame(lines).to_csv(tmp_path / "a.csv", index=False)
    attention, _ = read_benchmarks([tmp_path / "a.csv"])
    times = with_speedup(attention, "median_us").set_index("method")["speedup"]
    # Our own dense kernel is measured against PyTorch's, not the other way round.
    assert times.to_dict() == {"dense": 1.0, "Triton dense": 2.0, "sparq": 4.0}
    assert "SparQ (K stored once)" in [timed.label for timed in series(attention, "median_us")]

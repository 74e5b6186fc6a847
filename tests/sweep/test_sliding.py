"""A run of a model most of whose layers see a short window: its ratio and bytes are those of all layers together."""

import json
import shutil

import pandas as pd
import pytest
from support import architectures
from support.sweeps import launch, only_run, sweep_job
from transformers import AutoConfig, AutoModelForCausalLM

from harness import methods

WINDOW = 40


@pytest.fixture(scope="module")
def config():
    settings = architectures.CONFIGS["gemma3_text"] | {"sliding_window": WINDOW, "vocab_size": 400}
    settings |= {"max_position_embeddings": 1024}
    return AutoConfig.for_model("gemma3_text", **settings)


@pytest.fixture(scope="module")
def rows(config, tiny, tmp_path_factory):
    """The rows of a sweep, each example of which is solved at its own length."""
    folder = tmp_path_factory.mktemp("sliding") / "model"
    shutil.copytree(tiny, folder)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    results = folder.parent / "results"
    assert launch(sweep_job(folder, results, "budget.per=example", "methods=[dense,sparq,h2o,window]", "limit=2")) == 0
    return pd.read_parquet(only_run(results) / "rows.parquet")


def elements(config, method, n):
    """Elements that a step moves, layer by layer as the configuration names them."""
    seen = [min(n, WINDOW) if kind == "sliding_attention" else n for kind in config.layer_types]
    return sum(config.num_key_value_heads * method.transfers(tokens, config.head_dim) for tokens in seen)


def test_bytes_are_those_of_every_layers_own_window(config, rows):
    assert {"sliding_attention", "full_attention"} == set(config.layer_types)
    for row in rows.itertuples():
        method = methods.create(row.method, **json.loads(row.knobs))
        assert row.bytes_per_token == 4 * elements(config, method, round(row.prompt_tokens))


def test_the_ratio_is_reached_over_all_layers_and_one_more_token_would_miss_it(config, rows):
    solved = rows[rows["method"] != "dense"]
    assert set(zip(solved["method"], solved["ratio"], strict=True)) == {
        (name, ratio) for name in ("sparq", "h2o", "window") for ratio in (2, 4)
    }
    for row in solved.itertuples():
        knobs, n = json.loads(row.knobs), round(row.prompt_tokens)
        dense = elements(config, methods.create("dense"), n)
        more = methods.create(row.method, **{**knobs, "k": knobs["k"] + 1})
        assert dense / elements(config, more, n) < row.ratio <= row.compression

"""Defines every column of rows.parquet and summary.csv once: headers, readers and README's tables come from here."""

from __future__ import annotations

from collections.abc import Sequence

from harness.tables.column import Averaging, Column, Kind, Range

TEXT, KNOBS, FLAG, INTEGER, NUMBER = Kind
ANY, FINITE, POSITIVE = Range
SAME, MEAN, SHARE, COUNT, PAIRED, COMPUTED = Averaging
DRAFTS = (2, 4, 8)
"""Lengths of draft that columns tell the acceptance of: those that are counted (harness/engine/divergence.py)."""
ALONG = "mean over the decode steps along dense's own greedy tokens; empty without `divergence=true`"
DRAFTED = "tokens of a greedy draft of {} that dense accepts, mean over rounds; empty without a whole one"
INTERVAL = "95% interval of the mean difference (docs/statistics.md); empty below 4 examples and for dense itself"
COLUMNS = (
    Column("model", TEXT, SAME, "as named on the command line", essential=True),
    Column("task", TEXT, SAME, "as named on the command line", essential=True),
    Column("method", TEXT, SAME, "as named on the command line", essential=True),
    Column(
        "params",
        KNOBS,
        SAME,
        "the method's knobs as JSON; [least, greatest] where they differ between examples",
        essential=True,
    ),
    Column("ratio", NUMBER, SAME, "compression ratio that the knobs were solved for; empty where they were given"),
    Column(
        "compression",
        NUMBER,
        COMPUTED,
        "dense / method transfers; in the summary dense's mean / the method's mean, over the examples that have both",
        essential=True,
        within=POSITIVE,
    ),
    Column(
        "bytes_per_token",
        NUMBER,
        MEAN,
        "moved per decode step over all KV heads and layers, at the example's prompt length: `transfers_elements` in "
        "the model's precision",
        unit="bytes",
        essential=True,
        within=POSITIVE,
    ),
    Column(
        "transfers_elements",
        NUMBER,
        MEAN,
        "moved per decode step in elements, as the SparQ paper counts them; 16 bits of codes count as an element",
        unit="elements",
        essential=True,
        within=POSITIVE,
    ),
    Column("metric", TEXT, SAME, "as lm-eval names it; of repeats, `NAME avg@N` and `NAME pass@k`", essential=True),
    Column("higher_is_better", FLAG, SAME, "the metric's direction", essential=True),
    Column(
        "value",
        NUMBER,
        MEAN,
        "the score; in the summary lm-eval's own aggregate, without error, where a metric is no mean of examples",
        essential=True,
        within=ANY,
    ),
    Column(
        "stderr",
        NUMBER,
        COMPUTED,
        "standard error of `value` (sample variance); empty for a single example",
        within=ANY,
    ),
    Column("n", INTEGER, COUNT, "examples", essential=True, within=POSITIVE),
    Column(
        "delta_dense",
        NUMBER,
        PAIRED,
        "mean difference to dense on the same examples; empty for dense itself",
        within=ANY,
    ),
    Column("delta_stderr", NUMBER, PAIRED, "standard error of `delta_dense`", within=ANY),
    Column("delta_ci_low", NUMBER, PAIRED, f"lower end: {INTERVAL}", within=ANY),
    Column("delta_ci_high", NUMBER, PAIRED, "upper end of the same interval", within=ANY),
    Column(
        "first_difference",
        NUMBER,
        MEAN,
        "index of the first generated token, over all outputs of the example, that is not dense's; empty where none is",
        unit="tokens",
    ),
    Column("same_output", NUMBER, COMPUTED, "share of examples whose tokens all equal dense's"),
    Column(
        "delta_nll",
        NUMBER,
        MEAN,
        "mean absolute difference in log-likelihood per token to dense, over outputs with the same tokens",
        unit="nats",
    ),
    Column("active", FLAG, SHARE, "the method changed an attention output by more than rounding; a run of 0 fails"),
    Column("prompt_tokens", NUMBER, MEAN, "length of the prompt, mean over the example's requests", "tokens"),
    Column("new_tokens", INTEGER, MEAN, "decoded tokens of all requests of the example", "tokens"),
    Column(
        "seconds",
        NUMBER,
        MEAN,
        "decoding: the cell's own attention plus an equal share of the layers that all cells run through together; "
        "the shared prefill is not in it",
        unit="s",
    ),
    Column("cell", TEXT, SAME, "name of the method with its knobs", essential=True),
    Column("run", TEXT, SAME, "name of the folder", essential=True),
    Column(
        "per",
        TEXT,
        SAME,
        "`task`: knobs were solved at its mean prompt length; `example`: for each prompt at its own; empty where none "
        "was solved",
    ),
    Column("dtype", TEXT, SAME, "precision of the model and its KV cache, in which bytes are counted"),
    Column(
        "cut_tokens", INTEGER, MEAN, "tokens cut off the prompts of the example to fit the model's positions", "tokens"
    ),
    Column("delta_p", NUMBER, PAIRED, "p-value of no difference to dense: below 0.05 where the interval leaves 0 out"),
    Column(
        "decided",
        FLAG,
        SHARE,
        "the score was decided by the first token, which the prefill gives, before the method acted: the output has no "
        "other, or, for `match`, an answer has already come, or none can come any more",
    ),
    Column("memory_ratio", NUMBER, SAME, "memory compression that the knobs were solved for; else empty"),
    Column(
        "memory_compression",
        NUMBER,
        COMPUTED,
        "what dense holds / what the method holds; in the summary dense's mean / the method's mean",
    ),
    Column(
        "held_bytes",
        NUMBER,
        MEAN,
        "held between decode steps over all KV heads and layers, an index of the method's own included; counted as "
        "`bytes_per_token` is",
        unit="bytes",
    ),
    Column(
        "cost",
        TEXT,
        SAME,
        "how `transfers_elements` are known, a word or two. `formula`: by knobs and length; `measured`: counted in the "
        "decode steps, as a share of what dense moves in the same, times dense's at the prompt's length (empty for an "
        "example without a decode step); `simulated`: choosing is charged as an index is said to read; `oracle`: it is "
        "free",
    ),
    Column("kl", NUMBER, MEAN, f"KL divergence of the method's next-token probabilities from dense's; {ALONG}", "nats"),
    Column("agreement", NUMBER, MEAN, f"the method's likeliest token is dense's: share of steps; {ALONG}"),
    Column("lost", NUMBER, MEAN, f"what dense's likeliest token has lost in probability; {ALONG}"),
    *(Column(f"accepted_{length}", NUMBER, MEAN, DRAFTED.format(length), "tokens") for length in DRAFTS),
    Column("example", TEXT, None, "the data set's own id", essential=True),
    Column("knobs", KNOBS, None, "the knobs that it was decoded with as JSON, [least, greatest] over its requests"),
    Column("launch", TEXT, None, "the launch that computed it, as in `launches.jsonl`"),
)
"""Those of summary.csv in its order, then those of the rows alone."""

SUMMARY = tuple(column for column in COLUMNS if column.averaging is not None)
_ROWS = (
    "model run method params ratio memory_ratio per cell example knobs prompt_tokens cut_tokens new_tokens seconds "
    "transfers_elements bytes_per_token held_bytes cost dtype compression memory_compression active decided "
    "first_difference delta_nll kl agreement lost accepted_2 accepted_4 accepted_8 launch task metric value "
    "higher_is_better"
).split()
ROWS = tuple(next(column for column in COLUMNS if column.name == name) for name in _ROWS)
"""Those of rows.parquet in its order; before them stand columns that a task declares."""


def names(columns: Sequence[Column]) -> list[str]:
    """Return the columns' names in their order."""
    return [column.name for column in columns]

"""Top-Theta with thresholds of the prompt's last queries; calibrated ones are held to the authors' numbers."""

import dataclasses

import numpy as np
import torch
from hypothesis import strategies as st

from definitions import BUDGETS, softmax
from harness.attention.calibration import Thresholds
from harness.methods.selection.top_theta import TopTheta

KNOBS = {"k": 6}
VARIANTS = [
    {"k": 6, "placement": "pre_softmax", "prompt_rows": 5},
    {"k": 6, "v_mean_compensation": False, "per_query_head": True, "cap_k": True},
    {"k": 6, "thresholds": "calibrated"},
    {"k": 6, "thresholds": "calibrated", "placement": "pre_softmax", "per_query_head": True},
]
SETTINGS = st.fixed_dictionaries(
    {
        "k": BUDGETS,
        "placement": st.sampled_from(["post_softmax", "pre_softmax"]),
        "v_mean_compensation": st.booleans(),
        "cap_k": st.booleans(),
        "calib_add_sigma": st.sampled_from([0.0, 0.1, 1.5]),
        "prompt_rows": st.integers(1, 12),
        "per_query_head": st.booleans(),
    }
)


def calibration(method, case):
    """Thresholds that about k of 20 or 40 tokens pass, the same for all query heads of a group."""
    h, g = case.k.shape[1], case.q.shape[1] // case.k.shape[1]
    at_lengths = torch.tensor([0.5, 0.3]) if method.placement == "pre_softmax" else torch.tensor([0.06, 0.03])
    return Thresholds(torch.tensor([20, 40]), at_lengths.double().expand(h, g, 2))


def definition(given, _place):
    knobs = {field.name: field.default for field in dataclasses.fields(TopTheta)} | given
    post = knobs["placement"] == "post_softmax"

    def values(head, n):
        logits = head.logits(head.q[:, n - 1], head.k[:n])
        return softmax(logits) if post else logits

    def thresholds(head):
        rows = [values(head, n) for n in range(1, head.p + 1)][-knobs["prompt_rows"] :]
        samples = np.array([np.sort(row)[:, -knobs["k"] - 1] for row in rows if row.shape[1] > knobs["k"]])
        if not len(samples):
            return np.full(len(head.q), -np.inf)
        return samples.mean(0) + knobs["calib_add_sigma"] * samples.std(0)

    def attend(head, n):
        found = values(head, n)
        passing = found > (thresholds(head)[:, None] if n > knobs["k"] else -np.inf)
        if knobs["cap_k"]:
            newer = np.cumsum(passing[:, ::-1], 1)[:, ::-1]
            passing &= newer <= knobs["k"]
        if not knobs["per_query_head"]:
            passing[:] = passing.any(0)
        return np.stack([one(head, n, *pair) for pair in zip(found, passing, strict=True)])

    def one(head, n, found, passing):
        v = head.v[:n]
        if post:
            lost = 1 - found[passing].sum()
            return found[passing] @ v[passing] + knobs["v_mean_compensation"] * lost * v.mean(0)
        return softmax(found[passing]) @ v[passing] if passing.any() else v.mean(0)

    return attend

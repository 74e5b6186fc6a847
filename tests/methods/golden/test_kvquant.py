"""KVQuant against its authors' simulation: outputs, and what the cache reads back as, with their calibration."""

import pytest
import torch
from support import close

from golden import settings
from harness.attention import Rope
from harness.methods import create
from harness.methods.compressed.kvquant import Calibration, KVQuant
from harness.methods.cost import ELEMENT
from harness.methods.decoding import steps

KNOBS = ("bits", "outlier_fraction", "codebook", "first_tokens_exact")
ROPE = Rope.plain(10_000, 32)
TOLERANCE = 2e-4


def is_kvquant(setting):
    return setting.given["kind"] == "kvquant"


def method_of(setting):
    return create("kvquant", **{knob: setting.given[knob] for knob in KNOBS})


def learnt_by(setting):
    """The authors' calibration; their uniform quantiser has no codebook."""
    lower, upper = (setting.array(f"key_{end}")[:, :, None] for end in ("lower", "upper"))
    even = torch.linspace(-1, 1, 1 << setting.given["bits"]).expand(len(lower), -1)
    has = setting.given["codebook"] != "int"
    centres = [setting.array(f"codebook_{of}").sort(1).values if has else even for of in "kv"]
    return Calibration(lower, upper, *centres)


@pytest.fixture
def calibrated_as(monkeypatch):
    return lambda setting: monkeypatch.setattr(KVQuant, "calibrated", lambda *_: learnt_by(setting))


@settings("kvquant", is_kvquant)
def test_the_outputs_are_the_authors(setting, calibrated_as):
    calibrated_as(setting)
    close(setting.decode(method_of(setting), rope=ROPE), setting.expected(), TOLERANCE)


@settings("kvquant", lambda setting: setting.has("cache_v"))
def test_the_cache_reads_back_as_the_authors(setting, calibrated_as):
    calibrated_as(setting)
    method = method_of(setting)
    for step, state in steps(method, *setting.tensors(), rope=ROPE):
        method.attend(step, state)
    k, v = state.tokens
    close(k.read(), setting.array("cache_k_unrotated"), TOLERANCE)
    close(v.read(), setting.array("cache_v"), TOLERANCE)


def learnt(setting):
    """What the method itself learns of a case's prompt."""
    k, v, p = setting.array("key_unrotated"), setting.array("value"), int(setting.array("prefill_length"))
    return method_of(setting).calibrated(k[:, :, :p], v[:, :, :p], torch.ones(len(k), p, dtype=torch.bool))


@settings("kvquant", is_kvquant)
def test_ranges_are_the_authors(setting):
    found = learnt(setting)
    close(found.lower[:, :, 0], setting.array("key_lower"), 1e-5)
    close(found.upper[:, :, 0], setting.array("key_upper"), 1e-5)


@settings("kvquant", lambda setting: setting.given.get("codebook") == "nf")
def test_normal_floats_are_the_authors(setting):
    found = learnt(setting)
    close(found.k_centres, setting.array("codebook_k"), 1e-5)
    close(found.v_centres, setting.array("codebook_v"), 1e-5)


def error_of_codes(values, centres):
    """The mean squared distance of each row's values [B, M], NaN where one does not count, to the nearest centre."""
    return (values[..., None] - centres[:, None]).abs().amin(2).square().nanmean(1)


@settings("kvquant", lambda setting: setting.given.get("codebook") == "nuq" and setting.name != "nearly_all_outliers")
def test_values_are_about_as_near_to_the_fitted_codebooks_as_to_those_of_the_authors(setting):
    p, first, f = (int(setting.array("prefill_length")), *(setting.given[knob] for knob in KNOBS[3:0:-2]))
    found, authors = learnt(setting), learnt_by(setting)
    k, v = (setting.array(name)[:, :, :p] for name in ("key_unrotated", "value"))
    row = v.transpose(1, 2).flatten(2)
    least, greatest = (row.quantile(share, 2)[:, None, :, None] for share in (f / 2, 1 - f / 2))
    pairs = (
        (k, authors.lower, authors.upper, (k < authors.lower) | (k > authors.upper), "k_centres"),
        (v, least, greatest, (v <= least) | (v >= greatest), "v_centres"),
    )
    for x, low, high, outlier, centres in pairs:
        values = ((x - (low + high) / 2) / ((high - low) / 2)).masked_fill(outlier, torch.nan)[:, :, first:].flatten(1)
        ours, theirs = (error_of_codes(values, getattr(of, centres)) for of in (found, authors))
        assert (ours <= 1.05 * theirs).all()


@settings("kvquant", is_kvquant)
def test_what_is_noted_counts_codes_ranges_first_tokens_and_outliers_of_every_token(setting, calibrated_as):
    calibrated_as(setting)
    method, v = method_of(setting), setting.array("value")
    learnt, k = learnt_by(setting), setting.array("key_unrotated")
    width, f, first = v.shape[1] * v.shape[3], method.outlier_fraction, method.first_tokens_exact
    row = v.transpose(1, 2).flatten(2)
    least, greatest = (row.quantile(share, 2, keepdim=True) for share in (f / 2, 1 - f / 2))
    of_k = ((k < learnt.lower) | (k > learnt.upper)).sum((1, 3))
    outliers = of_k + ((row <= least) | (row >= greatest)).sum(2)
    codebooks = 2 * 2**method.bits * (setting.given["codebook"] == "nuq")
    for step, state in steps(method, *setting.tensors(), rope=ROPE):
        method.attend(step, state)
        n = step.length
        numbers = 2 * outliers[:, first:n].sum(1) + 2 * outliers[:, n - 1] + 2 * first * width + 2 * width + codebooks
        expected = (n - first + 1) * (2 * width * method.bits + 2 * ELEMENT) + numbers * ELEMENT
        assert method.meter(state).steps[-1].tolist() == expected.tolist()

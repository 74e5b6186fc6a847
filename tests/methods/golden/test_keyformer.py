"""Keyformer against its authors' attention, fed with the noise that was drawn there."""

import pytest
import torch
from support import close, random_case

from golden import attended, settings
from harness.attention.statistics import gumbel as statistic
from harness.errors import InputError
from harness.methods import create, decode
from harness.methods.eviction import keyformer

STEPS = 10


@pytest.fixture
def method(setting, monkeypatch):
    """Our method, whose noise is that of the file; tau rises by the file's steps."""
    given, p = setting.given, int(setting.array("prefill_length"))
    prompt, decoded = setting.array("gumbel_prefill"), setting.array("gumbel_decode")
    noise = torch.cat([torch.nn.functional.pad(prompt, (0, decoded.shape[2] - p)), decoded], 1)
    for module in (statistic, keyformer):
        monkeypatch.setattr(module, "gumbel", lambda _seed, _layer, head, query, key: noise[head, query, key])
    local, keys = given["tokens"]
    tau = {"tau_init": given["tau_init"], "tau_end": given["tau_init"] + STEPS * given["tau_delta"]}
    more = {"noise": given["noise"], "rechoose": given.get("rechoose", False), "max_new_tokens": STEPS}
    return create("keyformer", k=local + keys, local=local, **tau, **more)


def is_keyformer(setting):
    return setting.given["kind"] == "keyformer"


@settings("keyformer", is_keyformer)
def test_the_outputs_are_the_authors(setting, method):
    close(setting.decode(method), setting.expected(), 2e-5)


@settings("keyformer", is_keyformer)
def test_the_tokens_that_are_attended_to_are_the_authors(setting, method):
    kept = attended(method, *setting.tensors(torch.float64))
    assert torch.equal(kept, setting.array("kept").bool())


@settings("keyformer", lambda setting: setting.given["kind"] == "dense")
def test_where_all_tokens_fit_it_is_the_authors_dense_attention(setting):
    close(setting.decode(create("keyformer", k=200)), setting.expected(), 2e-5)


def test_seeds_choose_other_tokens_and_the_same_seed_the_same():
    case = random_case(p=40)
    outputs = [decode(create("keyformer", k=8, seed=seed), *case) for seed in (0, 0, 1)]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])


def test_the_local_tokens_are_a_number_or_a_share_of_k():
    case = random_case(p=40)
    share, number = (decode(create("keyformer", k=10, local=local), *case) for local in (0.3, 3))
    assert torch.equal(share, number)
    with pytest.raises(InputError, match="Keyformer needs local of at most k = 6, not 7"):
        create("keyformer", k=6, local=7)

"""H2O against its authors' forms that drop tokens for good: at absolute positions, and rolling.

The third, `mask`, is not among them. It hides tokens of a whole cache, and hides the one that has just left the window
of recent tokens for one step, after which it may come back: an artefact that ours does not offer.
"""

import torch

from golden import attended, settings
from harness.attention import Rope
from harness.methods import create

FORMS = {"real_drop": "absolute", "rolling": "cache"}
DROPPING = settings("h2o", lambda setting: setting.given.get("form") in FORMS)


def rope(setting):
    return Rope.plain(float(setting.array("rope_theta")), setting.array("query").shape[-1])


def method_of(setting, **more):
    if setting.given["kind"] == "dense":
        return create("dense")
    heavy, recent = setting.given["heavy"], setting.given["recent"]
    return create("h2o", **{"k": heavy + recent, "local": recent, "positions": FORMS[setting.given["form"]], **more})


@settings("h2o", lambda setting: setting.given.get("form") != "mask")
def test_decode_steps_are_the_authors(setting):
    found = setting.decode(method_of(setting), rope=rope(setting))
    torch.testing.assert_close(found, setting.expected(), atol=2e-5, rtol=0)


@DROPPING
def test_the_same_tokens_are_attended_to(setting):
    found = attended(method_of(setting), *setting.tensors(torch.float64), rope=rope(setting))
    assert torch.equal(found, setting.array("kept"))


@settings(
    "h2o", lambda setting: setting.given.get("form") in FORMS and setting.given["heavy"] == setting.given["recent"]
)
def test_half_of_k_is_recent_as_published(setting):
    named, given = (setting.decode(method_of(setting, **more), rope=rope(setting)) for more in ({"local": "half"}, {}))
    assert torch.equal(named, given)

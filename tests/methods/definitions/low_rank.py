"""Low rank is SparQ with a projection of queries and keys, drawn once and orthonormal, in place of channels."""

import numpy as np

from definitions import keep_best, sparq

KNOBS = {"r": 3, "k": 6, "local": 2}
VARIANTS = [{"r": 3, "k": 6, "local": 2, "reallocate": False}]
SETTINGS = sparq.SETTINGS


def definition(knobs, place):
    basis = place.state.basis[place.kv_head].numpy()
    np.testing.assert_allclose(basis.T @ basis, np.eye(knobs["r"]), atol=1e-12)

    def attend(head, n):
        logits = head.logits(head.q[:, n - 1] @ basis, head.k[:n] @ basis)
        return keep_best(head, n, logits, knobs["k"], knobs["local"], knobs["reallocate"])

    return attend

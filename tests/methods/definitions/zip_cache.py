"""ZipCache on few tokens, quantised anew every three; its numbers are compared with the authors'."""

KNOBS = {"low_ratio": 0.4, "gap": 3, "probe": 0.4}
VARIANTS = [{"low_ratio": 0.3, "bits_high": 8, "bits_low": 4, "gap": 10}]


def larger(knobs):
    """A thousandth fewer tokens in few bits; without one, one more bit."""
    return {"low_ratio": knobs["low_ratio"] - 1e-3} if knobs["low_ratio"] > 1e-3 else {"bits_high": 8, "bits_low": 8}

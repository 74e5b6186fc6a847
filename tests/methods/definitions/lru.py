"""LRU evicts what was used longest ago: given at least an even share of the weight over the tokens above 1e-9."""

from definitions import h2o

KNOBS = {"k": 6, "local": 2, "ties": "newest"}
VARIANTS = [{**KNOBS, "positions": "cache"}]
SETTINGS = h2o.SETTINGS.map(lambda knobs: knobs | {"ties": "newest"})


class LeastRecentlyUsed(h2o.Eviction):
    """Scores are times of last use."""

    def see(self, mean, tokens, time):
        looked_at = sum(w > 1e-9 for w in mean)
        for weight, token in zip(mean, tokens, strict=True):
            if weight >= 1 / looked_at:
                self.score[token] = time


def definition(knobs, _place):
    return LeastRecentlyUsed(knobs["k"], knobs["local"], knobs.get("positions", "absolute"))

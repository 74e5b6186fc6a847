"""Writes text for the repetition task: an endless invented chronicle, the same on every machine."""

from __future__ import annotations

import random

_PEOPLE = "ALDA BERIC CORWIN DENNA EDRIC FENYA GARETH HESTER ISOLDE JORAN KEELA LORCAN MERRIN NIALL ORLA PERRAN".split()
_PLACES = "the mill, the north gate, the old quay, the orchard, the long bridge, the salt market, the chapel".split(
    ", "
)
_THINGS = "a lantern, nine barrels, the grey mare, a sealed letter, two nets, a broken wheel, the silver key".split(
    ", "
)
_DEEDS = "carried, hid, sold, mended, promised, lost, found, guarded, weighed, painted, counted, begged for".split(", ")
_TIMES = "at dawn, before the feast, in deep snow, after the bell, while it rained, on market day, by moonlight".split(
    ", "
)
_ENDS = "Who will believe it?|Say nothing of this.|So it was agreed.|We shall see.|The tide was turning.".split("|")
_TEMPLATES = (
    "{a} {deed} {thing} near {place} {time}.",
    "They say that {a} met {b} at {place} {time}, and {deed} {thing}.",
    "{time_up} I saw {b} leave {place} with {thing}.",
    "If {a} had not {deed} {thing}, {b} would have come to {place} {time}.",
)


def chronicle(lines: int, seed: int = 0) -> str:
    """Write speeches of one to four sentences under a speaker's name, `lines` sentences in all."""
    rng = random.Random(seed)
    text, written = [], 0
    while written < lines:
        length = rng.randint(1, 4)
        speech = "\n".join(_sentence(rng) for _ in range(length))
        text.append(f"{rng.choice(_PEOPLE)}:\n{speech}\n{rng.choice(_ENDS)}\n")
        written += length
    return "\n".join(text)


def _sentence(rng: random.Random) -> str:
    a, b = (name.capitalize() for name in rng.sample(_PEOPLE, 2))
    time = rng.choice(_TIMES)
    words = {"a": a, "b": b, "time": time, "time_up": time.capitalize()}
    words |= {"deed": rng.choice(_DEEDS), "thing": rng.choice(_THINGS), "place": rng.choice(_PLACES)}
    return rng.choice(_TEMPLATES).format(**words)

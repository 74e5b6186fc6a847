"""SVDq with few bits; its numbers are compared with two independent transcriptions of its page."""

KNOBS = {"bits": "4,4,2,0,0,0,0,0"}
VARIANTS = [
    {"bits": "8,4,4,2,0,0,0,0", "joint_heads": False},
    {"bits": "8,2,0", "value_bits": 4},
]
FULL = {"bits": "52", "value_bits": None}
SCHEDULES = ("4,4,2,0,0,0,0,0", "8,4,4,2,0,0,0,0", "8,4,4,4,2,2,0,0", "52")


def larger(knobs):
    """The next schedule; beyond the last one, more bits than an element has."""
    return {"bits": SCHEDULES[SCHEDULES.index(knobs["bits"]) + 1]}

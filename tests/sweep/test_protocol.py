"""A protocol says what it changed."""

from harness.sweep.protocol import CHANGES, PROTOCOL, changes_since


def test_every_protocol_after_the_first_says_what_it_changed():
    assert sorted(CHANGES) == list(range(2, PROTOCOL + 1))
    assert all(CHANGES.values())
    assert changes_since(PROTOCOL) == ()
    assert changes_since(1) == tuple(change for number in sorted(CHANGES) for change in CHANGES[number])

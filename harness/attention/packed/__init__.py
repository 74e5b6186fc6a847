"""Holds K and V in codes of few bits, packed into bytes, and reads a layer's back in each step.

`bits` packs codes into bytes; a `Format` (`held`) says what tokens become and how they are read back, `Uniform`
(`uniform`) is that of groups between their least and greatest; `PackedTokens` (`tokens`) holds K or V: codes of the
prompt, which cells may share, codes of later tokens and an exact tail; `PackedCache` (`cache`) makes the step that a
method attends to. `codebook` rounds to a few values and `exceptions` keep entries exactly; `rotated` holds keys without
their rotation. Tokens lie at places there: place i is a row's i-th live token, whatever stands to its left.
`MixedCache` (`mixed`) holds two sets of tokens in different bits, by columns. `principal` encodes a prompt's keys along
their principal directions, `latent` keys and values of all KV heads together along those of their weights. `extremes`
keeps the least and greatest entries of chunks of tokens exactly, `low_rank` adds thin factors of what a format has lost
of a chunk.
"""

from harness.attention.packed.bits import pack, room, unpack, unpack_into
from harness.attention.packed.cache import PackedCache, Tokens
from harness.attention.packed.held import Format, Growing, Packed
from harness.attention.packed.mixed import MixedCache
from harness.attention.packed.places import aligned, put_at
from harness.attention.packed.tokens import PackedTokens
from harness.attention.packed.uniform import Uniform

__all__ = [
    "Format",
    "Growing",
    "MixedCache",
    "Packed",
    "PackedCache",
    "PackedTokens",
    "Tokens",
    "Uniform",
    "aligned",
    "pack",
    "put_at",
    "room",
    "unpack",
    "unpack_into",
]

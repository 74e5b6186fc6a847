"""Tensors that know which entries of a cache they came from, to see what a method really reads."""

import torch
from torch.utils._pytree import tree_map_only

MOVES = """
alias as_strided clone contiguous detach expand gather index index_select permute reshape select slice split
split_with_sizes squeeze t transpose unbind unsqueeze view _reshape_alias _unsafe_view _to_copy copy lift_fresh flip
""".split()
"""Operations that move entries without computing with them."""


class Traced(torch.Tensor):
    """Values of a cache with the index of each entry. Moves carry both; any other operation reads the entries."""

    @staticmethod
    def __new__(cls, values, ids, read):
        """A tensor that looks like `values`; entries read are set in the flat bool tensor `read`."""
        made = torch.Tensor._make_wrapper_subclass(cls, values.shape, dtype=values.dtype, strides=values.stride())
        made.values, made.ids, made.read = values, ids, read
        return made

    def mark(self):
        """Note that all these entries were read (an index of -1 was overwritten meanwhile)."""
        self.read[self.ids[self.ids >= 0]] = True

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Move values and indices alike, or compute on the values and note it."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name == "masked_fill" and isinstance(args[0], cls):
            source, mask = args[0], args[1]
            ids = source.ids.masked_fill(mask, -1)
            return cls(func(source.values, *args[1:]), ids, source.read)
        traced = [a for a in args if isinstance(a, cls)]
        if name in MOVES and len(traced) == 1 and traced[0] is args[0]:
            source, rest = args[0], args[1:]
            values = func(source.values, *rest, **kwargs)
            plain = {k: v for k, v in kwargs.items() if k not in ("dtype", "layout", "device")}
            ids = func(source.ids, *rest, **plain)
            if isinstance(values, (list, tuple)):
                return [cls(v, i, source.read) for v, i in zip(values, ids, strict=True)]
            return cls(values, ids, source.read)

        def unwrap(tensor):
            tensor.mark()
            return tensor.values

        args, kwargs = tree_map_only(cls, unwrap, (args, kwargs))
        return func(*args, **kwargs)


def trace(tensor):
    """A traced copy, and the bool tensor of its shape in which entries that were read become True."""
    read = torch.zeros(tensor.numel(), dtype=torch.bool)
    ids = torch.arange(tensor.numel()).view(tensor.shape)
    return Traced(tensor.clone(), ids, read), read.view(tensor.shape)

"""Several devices where there is one: tensors that compute on the CPU and say that they lie on "lazy:0" or "lazy:1".

As on CUDA, an operation on tensors of two devices is refused, unless one of them is a number or it copies. Torch has
no kernels for devices of this kind, so nothing but the bookkeeping can compute.
"""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

KIND = "lazy"
COPIES = ("aten::to", "aten::_to_copy", "aten::copy_")


class Placed(torch.Tensor):
    """A tensor that says it lies on another device; `data_here` is what it computes with."""

    @staticmethod
    def __new__(cls, here, device):
        layout = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, here.shape, device=device, **layout)

    def __init__(self, here, device):
        self.data_here = here

    def tolist(self):
        return self.data_here.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})


def dispatch(func, args, kwargs):
    """Run an operation on the CPU; its results lie where its tensors do, or where it is told to put them."""
    leaves = tree_leaves((args, kwargs))
    device = next((x for x in leaves if isinstance(x, torch.device)), None) or _common(func, leaves)
    found = func(*tree_map(_here, args), **tree_map(_here, kwargs))
    written = next((given for given, of in _written(func, args, kwargs) if of), None)
    if written is not None and isinstance(found, torch.Tensor):
        return written
    if device.type != KIND:
        return found
    return tree_map(lambda x: Placed(x, device) if isinstance(x, torch.Tensor) else x, found)


def _common(func, leaves):
    """The device of an operation's tensors. RuntimeError if there are two of them."""
    tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
    devices = list(dict.fromkeys(x.device for x in tensors if x.dim() or x.device.type != "cpu"))
    name = func._schema.name
    if len(devices) > 1 and name not in COPIES and not (name.startswith("aten::index") and _indexed_from_host(tensors)):
        raise RuntimeError(f"{name}: tensors on two devices, {', '.join(map(str, devices))}")
    return devices[0] if devices else torch.device("cpu")


def _indexed_from_host(tensors):
    """True if all but the first lie on the CPU: CUDA takes indices from there."""
    return all(x.device.type == "cpu" for x in tensors[1:])


def _written(func, args, kwargs):
    """The arguments of an operation, each with whether it is written to."""
    for i, of in enumerate(func._schema.arguments):
        if of.name in kwargs or i < len(args):
            yield kwargs.get(of.name, args[i] if i < len(args) else None), of.alias_info and of.alias_info.is_write


def _here(x):
    if isinstance(x, torch.device):
        return torch.device("cpu") if x.type == KIND else x
    return x.data_here if isinstance(x, Placed) else x


class _Devices(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})


@contextmanager
def devices():
    """Let tensors be made on "lazy:0", "lazy:1" and so on while this lasts."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) copies from the CPU, as it may here
    try:
        with _Devices(), torch.inference_mode():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


def spread(model, places):
    """The model with its layers on devices of this kind, as accelerate places them; embedding and logits on the first.

    `places` are the devices of its layers. What enters a layer is moved to it.
    """
    body = model.model
    put(model, places[0])
    for layer, device in zip(body.layers, places, strict=True):
        _entered_on(layer, device)
    for last in (body.norm, model.lm_head):
        _entered_on(last, places[-1])
    model.register_forward_hook(lambda _, __, output: _moved(output, places[0]))
    return model


def put(module, device):
    """Put all that a module holds on a device."""
    for of in module.modules():
        for name, held in of._parameters.items():
            if held is not None:
                of._parameters[name] = torch.nn.Parameter(lie_on(held.detach(), device), requires_grad=False)
        for name, held in of._buffers.items():
            of._buffers[name] = lie_on(held, device)


def lie_on(x, device):
    """A tensor on a device of this kind; what is no tensor stays as it is."""
    return Placed(_here(x), torch.device(device)) if isinstance(x, torch.Tensor) else x


def _entered_on(module, device):
    put(module, device)
    module.register_forward_pre_hook(
        lambda _, args, kwargs: (_moved(args, device), _moved(kwargs, device)), with_kwargs=True
    )


def _moved(values, device):
    return tree_map(lambda x: x.to(device) if isinstance(x, torch.Tensor) else x, values)

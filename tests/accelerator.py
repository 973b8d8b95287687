"""A second device without hardware: tensors in the CPU's memory that report "cuda" and refuse to be
mixed with others.

Also those without dimensions, where CUDA is lenient; moves, copies and indices on the CPU are
allowed, as with CUDA. Kernels, autocast, compilation, and the numbers of CUDA's generator need a
GPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "cuda"
PLACE = torch.device(NAME, 0)
ATEN = torch.ops.aten
COPIES = (ATEN.copy_.default,)
# torch itself calls them with numbers on the CPU
LENIENT = (ATEN.where.self, ATEN.linalg_pinv.atol_rtol_tensor)
INDEXED = (ATEN.index.Tensor, ATEN.index_put_.default, ATEN.index_put.default)


class DevicesMixed(RuntimeError):
    """An operation read tensors on two devices."""


class Elsewhere(torch.Tensor):
    """A tensor that reports PLACE; `inner` has its numbers."""

    inner: torch.Tensor
    device = property(lambda self: PLACE)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        how = {
            "strides": inner.stride(),
            "storage_offset": inner.storage_offset(),
            "dtype": inner.dtype,
        }
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, requires_grad=inner.requires_grad, **how
        )
        made.inner = inner
        return made

    def __repr__(self) -> str:
        return f"Elsewhere({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in COPIES:
            read = (
                (args[:1], args[2:])
                if func in INDEXED and isinstance(args[0], cls)
                else (args, kwargs)
            )
            near = [
                x
                for x in tree_leaves(read)
                if isinstance(x, torch.Tensor) and not isinstance(x, cls)
            ]
            if any(x.ndim or func not in LENIENT for x in near):
                raise DevicesMixed(f"{func} reads tensors on {NAME} and on the CPU")
        found = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        into = isinstance(args[0], cls) if func in COPIES else True
        return return_and_correct_aliasing(
            func, args, kwargs, tree_map(_outer, found) if into else found
        )


def _inner(x: Any) -> Any:
    return x.inner if isinstance(x, Elsewhere) else x


def _outer(x: Any) -> Any:
    return Elsewhere(x) if isinstance(x, torch.Tensor) and not isinstance(x, Elsewhere) else x


class _Generator(torch.Generator):
    """A generator for any device, on the CPU."""

    def __new__(cls, device: Any = "cpu"):
        return super().__new__(cls)


class _Moves(TorchFunctionMode):
    """Tensors are made on, and moved to, the device that is asked for."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "cpu":
            return _inner(args[0])
        if name in ("numpy", "__array__") and isinstance(args[0], Elsewhere):
            raise DevicesMixed(f"{name}() needs a tensor on the CPU")
        if name == "tolist":
            return _inner(args[0]).tolist()
        if name == "one_hot":  # C++ asks the numbers for their device
            return (_outer if isinstance(args[0], Elsewhere) else _inner)(
                func(_inner(args[0]), *args[1:], **kwargs)
            )
        if name == "to":
            return _moved(*args, **kwargs)
        place = kwargs.get("device")
        if place is not None and torch.device(place).type == NAME:
            return _outer(_inner(func(*args, **{**kwargs, "device": "cpu"})))
        return func(*args, **kwargs)


def _moved(x: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
    place = named.pop("device", None)
    rest = []
    for each in given:
        if isinstance(each, torch.Tensor):
            place, named["dtype"] = each.device, each.dtype
        elif isinstance(each, str | torch.device):
            place = each
        else:
            rest.append(each)
    far = isinstance(x, Elsewhere) if place is None else torch.device(place).type == NAME
    found = _inner(x)
    found = found.to(*rest, **named) if rest or named else found
    if far == isinstance(x, Elsewhere) and found is _inner(x):
        return x
    return Elsewhere(found) if far else found


@contextmanager
def present(monkeypatch) -> Iterator[Callable[[Any], Any]]:
    """Inside this block there is a device "cuda"; its value brings the tensors of any tree to the
    CPU.
    """
    monkeypatch.setattr(torch, "Generator", _Generator)
    with _Moves():
        yield lambda tree: tree_map(_inner, tree)

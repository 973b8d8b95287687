"""What a feature depends on, as a key: equal keys promise equal features, and in doubt there is no key.

Weights are hashed. Everything else (a model's architecture and configuration, a preprocessing pipeline) is described
structurally: class names and attributes, down to numbers and strings. Only code of the libraries below is taken by
its name, because their versions are in the key. A lambda, a closure or a class of the user's own may have another body
tomorrow under the same name, so it has no description, and what it computes is not kept.
"""

import functools
import json
import re
import sys
import types
from collections.abc import Callable
from enum import Enum
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any

import numpy as np

FORMAT = 2  # of features and keys; raise it when this package computes them otherwise
DISTRIBUTIONS = ("torch", "torchvision", "numpy", "pillow", "open_clip_torch", "timm", "transformers")
CODE = ("torch", "torchvision", "numpy", "PIL", "open_clip", "timm", "transformers", "experiments.counteranimal")
STANDARD = ("builtins", "collections", "functools", "operator", "math")


class Undescribed(Exception):
    """There is no description of a value that another process would be sure to share."""


def versions(distributions: tuple[str, ...] = DISTRIBUTIONS) -> dict[str, str]:
    """Installed versions, without those that are not installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def fingerprint(value: Any) -> str:
    """SHA-256 of the structure of a value. Raises Undescribed where it has none."""
    return sha256(json.dumps(structure(value)).encode()).hexdigest()


def structure(value: Any) -> Any:
    """A value as nested lists of strings and numbers, equal only for values that behave alike.

    Parameters and persistent buffers of a torch module are described by shape and type alone: `weights_hash` has
    their values. An object met again is a reference to its first description, so cycles end. Raises Undescribed.
    """
    return _Walk().of(value)


class _Walk:
    """One walk over a value; objects seen stay alive, so that no id is used twice."""

    def __init__(self):
        self.seen: dict[int, tuple[int, Any]] = {}

    def of(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return ["enum", _name(type(value)), value.name]
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return ["float", value.hex()]
        if isinstance(value, bytes | PurePath | complex | slice | range | re.Pattern):
            return [type(value).__name__, repr(value)]
        if isinstance(value, np.ndarray | np.generic):
            return ["array", str(value.dtype), list(value.shape), sha256(np.ascontiguousarray(value)).hexdigest()]
        if isinstance(value, type):
            return ["class", _name(value)]
        if id(value) in self.seen:
            return ["again", self.seen[id(value)][0]]
        self.seen[id(value)] = len(self.seen), value
        return self._compound(value)

    def _compound(self, value: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            return ["tensor", *_tensor(value), _bytes(value)]
        if torch is not None and isinstance(value, torch.dtype | torch.device):
            return ["torch", str(value)]
        if isinstance(value, list | tuple):
            return [_name(type(value)), *map(self.of, value)]
        if isinstance(value, set | frozenset):
            return ["set", *sorted(json.dumps(self.of(item)) for item in value)]
        if isinstance(value, dict | types.MappingProxyType):
            return ["dict", *([self.of(key), self.of(item)] for key, item in value.items())]
        if isinstance(value, functools.partial):
            return ["partial", *map(self.of, (value.func, value.args, value.keywords))]
        if isinstance(value, types.MethodType):
            return ["method", value.__func__.__name__, self.of(value.__self__)]
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType | np.ufunc):
            return ["function", _name(value)]
        return self._object(value, torch)

    def _object(self, value: Any, torch: Any) -> Any:
        state = _state(value)
        if torch is not None and isinstance(value, torch.nn.Module):
            loose = value._non_persistent_buffers_set
            kept = {n: b for n, b in (value._parameters | value._buffers).items() if n not in loose}
            state["_parameters"] = {n: None if p is None else _tensor(p) for n, p in kept.items()}
            state["_buffers"] = {n: value._buffers[n] for n in sorted(loose)}
            state["_non_persistent_buffers_set"] = None
        return ["object", _name(type(value)), self.of(state)]


def _state(value: Any) -> dict[str, Any]:
    """The attributes of an object. Raises Undescribed for one that hides its state in C."""
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    if not hasattr(value, "__dict__") and not slots:
        raise Undescribed(f"a {type(value).__name__} does not show its state")
    found = {name: getattr(value, name) for name in slots if hasattr(value, name) and name != "__weakref__"}
    return found | dict(getattr(value, "__dict__", {}))


def _name(value: type | Callable) -> str:
    """The name under which anybody finds this class or function. Raises Undescribed if there is none we trust."""
    module, name = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", value.__name__)
    holder: Any = sys.modules.get(module)
    for part in name.split("."):
        holder = getattr(holder, part, None)
    known = any(module == top or module.startswith(f"{top}.") for top in (*CODE, *STANDARD))
    # Functions of torch's own C modules say nothing of where they live.
    if holder is value and known:
        return f"{module}.{name}"
    if isinstance(value, types.BuiltinFunctionType) and module.split(".")[0] in ("torch", "_operator", "math"):
        return f"{module}.{name}"
    raise Undescribed(f"{module or '?'}.{name} is no named part of a library whose version is known")


def _tensor(value: Any) -> list[Any]:
    return [str(value.dtype), list(value.shape)]


def _bytes(value: Any) -> str:
    import torch

    return sha256(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()).hexdigest()


def weights_hash(module: Any) -> str:
    """SHA-256 of a model's parameters and buffers, names and bytes, in the order of their names."""
    import torch

    digest = sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def model_key(module: Any, encode: tuple[Callable | None, ...], preprocess: Callable, weights: str) -> str | None:
    """A key of everything about a model that changes its features; None if some of it cannot be described."""
    try:
        parts = {
            "format": FORMAT,
            "versions": versions(),
            "weights": weights,
            "model": structure([module, *encode]),
            "preprocessing": structure(preprocess),
        }
    except Undescribed:
        return None
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

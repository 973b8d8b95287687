"""A claim's digest: the SHA-256 of what gives the claim its meaning. Its words, its id and its
error rate are left out.

A function of a world enters as its formula (`theory.proofs.expression`). So a function may be
worded in any way, and a change of any function that it calls changes the digest. A function without
a formula enters by its source and by the values of the names in it; the digest is then marked
`source`. Functions beside the claim are such values by their own source, functions of libraries and
of our packages by their names. A new field of a world changes no digest.

Source alone would not do: many claims print a theorem of ours, and a digest by its name would
outlive its change.
"""

import ast
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from fractions import Fraction
from numbers import Real
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from simulator.world import World
from theory.claims.claim import Axis, Claim
from theory.claims.quantities import Quantity
from theory.learners.base import Learner
from theory.proofs.expression import constant, digest
from theory.proofs.statements import UNRECORDED, Symbols, symbols

PACKAGES = ("simulator", "theory", "experiments")
DOCKETS = ("theory.docket", "experiments.published")  # their functions belong to claims


class Digest(NamedTuple):
    """A SHA-256 in hexadecimal digits, and whether a function entered it by its source."""

    sha256: str
    source: bool

    def __str__(self) -> str:
        return self.sha256[:12] + (" (source)" if self.source else "")


def digest_of(claim: Any) -> Digest:
    """The digest of a claim of any kind. Raises ValueError for a function whose source is in no
    file.
    """
    form = _Form(symbols(claim) if isinstance(claim, Claim) else None)
    text = json.dumps(form.of(claim.declared()), sort_keys=True)
    return Digest(hashlib.sha256(text.encode()).hexdigest(), form.source)


class _Form:
    """Canonical forms of values: lists, texts and tables of such."""

    def __init__(self, world: Symbols | None):
        self.world, self.source, self.open = world, False, []

    def of(self, value: Any) -> Any:
        if value is None or isinstance(value, str | bool):
            return value
        if isinstance(value, Real):
            return ["number", str(Fraction(float(value)) if np.isfinite(value) else float(value))]
        if isinstance(value, Axis):  # a NamedTuple whose ends may be functions
            return ["axis", *(self.of(part) for part in value)]
        if isinstance(value, tuple | list | np.ndarray):
            return ["list", *(self.of(part) for part in value)]
        if isinstance(value, Mapping):
            return {
                "table": sorted(
                    ([self.of(k), self.of(v)] for k, v in value.items()), key=json.dumps
                )
            }
        if isinstance(value, World):
            return ["world", self.of(value.model_dump(exclude_defaults=True))]
        if isinstance(value, Quantity):
            return self._quantity(value)
        if is_dataclass(value) and not isinstance(value, type):
            own = value.name if isinstance(value, Learner) else type(value).__name__
            parts = {
                f.name: getattr(value, f.name)
                for f in fields(value)
                if getattr(value, f.name) != f.default
            }
            return [
                own,
                self.of(parts),
                *([] if _ours(type(value).__module__) else [self._code(type(value))]),
            ]
        if callable(value):
            return self._recorded(value) or self._code(value)
        raise ValueError(
            f"a claim that uses {value!r} has no digest; use numbers, texts and functions"
        )

    def _quantity(self, quantity: Quantity) -> Any:
        """One of ours by its name, a user's by its fields and its code."""
        parts = {field.name: getattr(quantity, field.name) for field in fields(quantity)}
        code = [type(quantity), *filter(callable, parts.values())]
        if all(_ours(getattr(part, "__module__", None) or "") for part in code):
            return quantity.name
        numbers = {name: part for name, part in parts.items() if not callable(part)}
        return [self.of(numbers), *map(self._code, code)]

    def _recorded(self, function: Callable) -> list | None:
        """The formula of a function of a world; None if it has none."""
        if self.world is None or self.open:
            return None
        try:
            value = np.asarray(function(self.world), object)
            return ["formula", list(value.shape), digest([constant(one) for one in value.ravel()])]
        except UNRECORDED:
            return None

    def _code(self, code: Any) -> list:
        """Beside the claim, a function by its source and the values of its names, a class by its
        methods.
        """
        if isinstance(code, functools.partial):
            return ["partial", self._code(code.func), self.of(code.args), self.of(code.keywords)]
        code = inspect.unwrap(code)
        if not isinstance(code, FunctionType | type) or not _beside(code.__module__):
            return [
                "name",
                f"{getattr(code, '__module__', '')}.{getattr(code, '__qualname__', code)}",
            ]
        if isinstance(code, type):
            methods = {
                k: self._code(v)
                for k, v in vars(code).items()
                if isinstance(v, FunctionType) and k[:2] != "__"
            }
            return ["class", methods, *map(self._code, code.__bases__)]
        if code in self.open:
            return ["again", self.open.index(code)]
        self.source = True
        self.open.append(code)
        tree = _tree(code)
        defaults = self.of([*(code.__defaults__ or ()), *(code.__kwdefaults__ or {}).values()])
        form = ["function", ast.unparse(tree), defaults, self.of(_names(tree, code))]
        self.open.pop()
        return form


def _names(tree: ast.AST, function: FunctionType) -> dict[str, Any]:
    """The values of the free names in a function, and of the attributes of modules."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    scope = function.__globals__ | {name: cell.cell_contents for name, cell in cells}

    def value(node: ast.AST) -> Any:
        base = value(node.value) if isinstance(node, ast.Attribute) else None
        if isinstance(base, ModuleType):
            return getattr(base, node.attr)
        return (
            scope.get(node.id)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            else None
        )

    names = {
        ast.unparse(node): value(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    }
    return {
        name: one
        for name, one in names.items()
        if one is not None and not isinstance(one, ModuleType)
    }


def _tree(function: FunctionType) -> ast.AST:
    """The syntax tree of a function, without its docstrings and annotations. Raises ValueError if
    no file has it.
    """
    try:
        lines, _ = inspect.findsource(function)
    except OSError:
        raise ValueError(f"the source of {function.__qualname__} is in no file") from None
    places = [
        (start, column)
        for start, _, column, _ in function.__code__.co_positions()
        if start and column
    ]
    kind = ast.Lambda if function.__name__ == "<lambda>" else ast.FunctionDef
    around = [
        node
        for node in ast.walk(_parsed("".join(lines)))
        if isinstance(node, kind) and _holds(node, places)
    ]
    if not around:
        raise ValueError(f"the source of {function.__qualname__} has changed since it was read")
    tree = deepcopy(around[-1])  # the innermost one
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns, documented = None, ast.get_docstring(node) is not None
            node.body = node.body[documented:] or [ast.Pass()]
        if isinstance(node, ast.arg):
            node.annotation = None
    return tree


_parsed = functools.cache(ast.parse)


def _holds(node: ast.Lambda | ast.FunctionDef, places: list[tuple[int, int]]) -> bool:
    start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    return all(start <= place <= end for place in places)


def _ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _beside(module: str | None) -> bool:
    """Whether a module is a claim's own: a user's, or one of our dockets."""
    if module is None or module.startswith(DOCKETS):
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    library = module.partition(".")[0] in sys.stdlib_module_names or "site-packages" in file
    return not (library or _ours(module))

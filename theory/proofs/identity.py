"""A claim's digest: the same for the same claim on every machine, however it is worded.

It is the SHA-256 of a canonical text of all that gives a claim its meaning. Its id, its words, the order of its domain,
the names of variables and its error rate are left out. So are fields of a world or a learner at their defaults: a new
field does not change the digests of old claims.

Functions of a world are recorded as formulas (`theory.proofs.expression`). A function that cannot be recorded enters
by its syntax tree, and the digest is marked `source`. In the tree local names are numbered, and docstrings and
annotations are left out. Other values enter by what they are: a function beside the claim by its own tree, a function
of a library or of our packages by its name.
"""

import ast
import builtins
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from numbers import Real
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from simulator import tables
from simulator.world import World
from theory.claims.claim import SECOND, Axis, Claim
from theory.claims.relations import Equivalence
from theory.claims.trained import TrainedClaim
from theory.learners.base import Learner
from theory.proofs.expression import NotExpressible, constant, digest, variable
from theory.proofs.statements import DEFAULTS, Symbols

PACKAGES = ("simulator", "theory", "experiments")
DOCKETS = ("theory.claims", "experiments.published")  # their functions belong to claims
SCOPES = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
NOT_MEANING = ("annotation", "returns", "type_comment", "decorator_list", "ctx", "kind", "type_params")
NOT_MEANING += ("defaults", "kw_defaults")  # their values enter instead
UNRECORDED = (ValueError, TypeError, AttributeError, ArithmeticError, LookupError)  # of a function with a formula


class Digest(NamedTuple):
    """A SHA-256 in hexadecimal digits, and whether a function entered it by its syntax tree."""

    sha256: str
    source: bool

    def __str__(self) -> str:
        return self.sha256[:12] + (" (source)" if self.source else "")


def claim_digest(claim: Claim) -> Digest:
    """The digest of a claim. Raises ValueError for a function whose source is in no file."""
    world = _world(claim)
    own = ("quantifier", "learners", "share", "n", "along", "grid", "prediction", "reference")
    parts: dict[str, Any] = {name: getattr(claim, name) for name in own} | {"tolerance": claim.allowed}
    parts |= {"quantity": claim.quantity.name, "relation": claim.relation.name}
    parts["domain"] = {
        k: v for k, v in claim.domain.items() if callable(v) or k not in DEFAULTS or v != World.model_fields[k].default
    }
    if claim.table:
        parts["table"] = tables.named(claim.table)
    if isinstance(claim.relation, Equivalence):
        parts["threshold"] = claim.threshold
    return digest_of(parts, world)


def trained_digest(claim: TrainedClaim) -> Digest:
    """The digest of a claim about trained towers."""
    return digest_of({name: getattr(claim, name) for name in ("says", "cases", "groups", "tolerance", "margin")})


def digest_of(parts: Mapping[str, Any], world: Symbols | None = None) -> Digest:
    """The digest of these values. Functions of a world are recorded with `world`, if there is one."""
    form = _Form(world)
    text = json.dumps(form.of(parts), sort_keys=True)
    return Digest(hashlib.sha256(text.encode()).hexdigest(), form.source)


def formula_of(claim: Claim, function: Callable) -> str:
    """A function of the fields of a claim's world, as a formula. Raises NotExpressible if it is none."""
    try:
        found = str(constant(function(_world(claim))))
    except UNRECORDED as error:
        raise NotExpressible(" ".join(str(error).split())) from error
    return found[1:-1] if found.startswith("(") and found.endswith(")") else found


def _world(claim: Claim) -> Symbols:
    """The claim's world, with a variable for every field that varies."""
    varied = {k: variable(k) if callable(v) or isinstance(v, Axis) else constant(v) for k, v in claim.domain.items()}
    known = {**DEFAULTS, **{k: v for k, v in varied.items() if k in DEFAULTS}}
    second = {k.removeprefix(SECOND): v for k, v in varied.items() if k not in DEFAULTS}
    if known["classes"] is constant(2):
        known["classes"] = 2
    nu = constant(known["sigma_xi"]) ** 2 / known["dim_image"]
    return Symbols(**known, attribute=(Symbols(**second),) if second else (), shape=(), nu_image=nu)


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
            return {"table": sorted(([self.of(k), self.of(v)] for k, v in value.items()), key=json.dumps)}
        if isinstance(value, World):
            return ["world", self.of(value.model_dump(exclude_defaults=True))]
        if isinstance(value, ModuleType):
            return ["module", value.__name__]
        if isinstance(value, type):
            return self._class(value)
        if is_dataclass(value):
            own = value.name if isinstance(value, Learner) else type(value).__name__
            given = {f.name: getattr(value, f.name) for f in fields(value) if getattr(value, f.name) != f.default}
            code = [] if _ours(type(value).__module__) else [self._class(type(value))]
            return [own, self.of(given), *code]
        if callable(value):
            return self._recorded(value) or self._function(value)
        raise ValueError(f"a claim that uses {value!r} has no digest; use numbers, texts and functions")

    def _recorded(self, function: Callable) -> list | None:
        """The formula of a function of a world; None if it has none."""
        if self.world is None or self.open:
            return None
        try:
            value = np.asarray(function(self.world), object)
            return ["formula", list(value.shape), digest([constant(one) for one in value.ravel()])]
        except UNRECORDED:
            return None

    def _class(self, kind: type) -> list:
        """A class by its name, a user's class by its methods."""
        if _ours(kind.__module__) or not _beside(kind.__module__):
            return ["class", f"{kind.__module__}.{kind.__qualname__}"]
        members = {k: v for k, v in vars(kind).items() if isinstance(v, FunctionType) and not k.startswith("__")}
        return ["class", [self._function(members[k]) for k in sorted(members)], *map(self._class, kind.__bases__)]

    def _function(self, function: Any) -> list:
        if isinstance(function, functools.partial):
            return ["partial", self._function(function.func), self.of(function.args), self.of(function.keywords)]
        function = inspect.unwrap(function)
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
        if not isinstance(function, FunctionType) or not _beside(function.__module__):
            return ["name", name]
        if function in self.open:
            return ["again", self.open.index(function)]
        self.source = True
        self.open.append(function)
        tree = _tree(function)
        defaults = [self.of(value) for value in (*(function.__defaults__ or ()), function.__kwdefaults__ or {})]
        found = ["function", defaults, self._scope(tree, [], function)]
        self.open.pop()
        return found

    def _scope(self, node: ast.AST, scopes: list[dict[str, int]], function: FunctionType) -> list:
        """A function or a comprehension; its names are numbered in the order in which they are bound."""
        names = dict.fromkeys(_bound(node))
        count = sum(map(len, scopes))
        inner = [*scopes, {name: count + i for i, name in enumerate(names)}]
        inside = [self._node(part, inner, function) for part in _parts(node)]
        if scopes and isinstance(node, ast.FunctionDef | ast.Lambda):  # its defaults belong to the scope around it
            inside += [self._node([*node.args.defaults, *node.args.kw_defaults], scopes, function)]
        return [type(node).__name__, *inside]

    def _node(self, node: Any, scopes: list[dict[str, int]], function: FunctionType) -> Any:
        if isinstance(node, list):
            return [self._node(part, scopes, function) for part in node]
        if isinstance(node, ast.Constant):
            return self.of(node.value) if isinstance(node.value, str | Real | None) else repr(node.value)
        if isinstance(node, ast.arg):
            return ["local", scopes[-1][node.arg]]
        if isinstance(node, ast.Name):
            for scope in reversed(scopes):
                if node.id in scope:
                    return ["local", scope[node.id]]
        if isinstance(node, ast.Name | ast.Attribute):
            value = _value_of(node, scopes, function)
            if value is not UNKNOWN:
                return self.of(value)
        if isinstance(node, SCOPES):
            return self._scope(node, scopes, function)
        if isinstance(node, ast.AST):
            return [type(node).__name__, *(self._node(part, scopes, function) for part in _parts(node))]
        return node


UNKNOWN = object()


def _value_of(node: ast.AST, scopes: list[dict[str, int]], function: FunctionType) -> Any:
    """The value of a free name, or of an attribute of a module; UNKNOWN for others."""
    if isinstance(node, ast.Attribute):
        base = _value_of(node.value, scopes, function)
        return getattr(base, node.attr) if isinstance(base, ModuleType) else UNKNOWN
    if not isinstance(node, ast.Name) or any(node.id in scope for scope in scopes):
        return UNKNOWN
    free = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if node.id in free:
        return free[node.id].cell_contents
    return function.__globals__.get(node.id, getattr(builtins, node.id, UNKNOWN))


def _parts(node: ast.AST) -> list:
    """The fields of a node that have a meaning, without a docstring."""
    if isinstance(node, ast.FunctionDef):
        return [node.args, node.body[1:] if ast.get_docstring(node) is not None else node.body]
    return [getattr(node, name, None) for name in node._fields if name not in NOT_MEANING]


def _bound(node: ast.AST) -> list[str]:
    """Names that a function or a comprehension binds itself, in order."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        a = node.args
        known = [*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs]
        found = [one.arg for one in (*known, *([a.kwarg] if a.kwarg else []))]
        inside = [*node.body] if isinstance(node.body, list) else [node.body]
    else:
        found, inside = [], [generator.target for generator in node.generators]
    while inside:
        part = inside.pop(0)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.append(part.id)
        if isinstance(part, ast.FunctionDef):
            found.append(part.name)
        if not isinstance(part, SCOPES):
            inside[:0] = ast.iter_child_nodes(part)
    return found


def _tree(function: FunctionType) -> ast.AST:
    """The syntax tree of a function. Raises ValueError if its source is in no file."""
    code = function.__code__
    try:
        lines, _ = inspect.findsource(function)
    except OSError:
        raise ValueError(f"the source of {function.__qualname__} is in no file") from None
    places = [(start, column) for start, _, column, _ in code.co_positions() if start and column]
    for node in _functions("".join(lines)):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if node.name == code.co_name and first == code.co_firstlineno:
                return node
        elif code.co_name == "<lambda>" and node.lineno == code.co_firstlineno:
            start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
            if all(start <= place <= end for place in places):
                return node
    raise ValueError(f"the source of {function.__qualname__} has changed since it was read")


@functools.cache
def _functions(text: str) -> list[ast.FunctionDef | ast.Lambda]:
    """The functions of a source text, inner ones first."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    return found[::-1]


def _ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _beside(module: str | None) -> bool:
    """Whether a module is a claim's own: a user's, or one of our dockets."""
    if module is None or module.startswith(DOCKETS):
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    library = module.partition(".")[0] in sys.stdlib_module_names or "site-packages" in file
    return not (library or _ours(module))

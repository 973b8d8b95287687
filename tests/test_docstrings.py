"""Every exported name has a numpydoc docstring: its parameters by name, what it raises, and the fields of a class.

Exported names are those of the packages' __init__ files, what they return, and what README.md tells a reader to extend.
"""

import ast
import importlib
import inspect
import sys
from functools import cache, cached_property
from typing import ClassVar, get_origin

import pytest
from docstring_parser import numpydoc

PACKAGES = ("simulator", "theory", "experiments")
RETURNED = (  # what the exported functions return, and what README.md sends a reader to
    "simulator.accuracy.Interval",
    "simulator.gaussian.fitting.Fitted",
    "simulator.towers.api.Towers",
    "simulator.towers.objectives.Objective",
    "simulator.towers.objectives.register",
    "experiments.estimators.Estimator",
    "experiments.estimators.register_estimator",
    "experiments.verdict.Verdict",
    "experiments.lab.mitigations.register",
)


def exported() -> list:
    """What the packages hand out, and what theory.learners does."""
    packages = [importlib.import_module(package) for package in PACKAGES]
    learners = packages[1].learners
    given = [getattr(home, name) for home in packages for name in home._HOMES]
    given += [getattr(learners, name) for name in ("Learner", "named", "names")]
    for name in RETURNED:
        home, _, local = name.rpartition(".")
        given.append(getattr(importlib.import_module(home), local))
    return [x for x in given if inspect.isclass(x) or inspect.isroutine(x)]


def members(kind: type) -> dict[str, object]:
    """The public methods and properties that a class defines; a field may hold a function too."""
    described = lambda part: inspect.isroutine(part) or isinstance(part, property | cached_property)  # noqa: E731
    return {
        name: part
        for name, part in vars(kind).items()
        if not name.startswith("_") and name not in own_fields(kind) and described(part)
    }


def public() -> dict[str, object]:
    """All exported classes and functions, and the methods and properties of the classes, by their full names."""
    found = {f"{x.__module__}.{x.__qualname__}": x for x in exported()}
    parts = {
        f"{name}.{key}": part for name, x in found.items() if inspect.isclass(x) for key, part in members(x).items()
    }
    return found | parts


def own_fields(kind: type) -> list[str]:
    """Public fields that a class declares; what is constant over a class is told once, by its base."""
    declared = inspect.get_annotations(kind).items()
    return [name for name, what in declared if not name.startswith("_") and get_origin(what) is not ClassVar]


def own_parameters(value) -> list[str]:
    """As numpydoc writes them: stars before the variadic ones, without self and cls."""
    if isinstance(value, property | cached_property):
        return []
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    given = inspect.signature(getattr(value, "__func__", value)).parameters.values()
    return [stars.get(p.kind, "") + p.name for p in given if p.name not in ("self", "cls")]


@cache
def functions(module: str) -> dict[str, ast.FunctionDef]:
    """The functions of a module and the methods of its classes, by qualified name."""
    found = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        for part in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(part, ast.FunctionDef):
                found[part.name if part is node else f"{node.name}.{part.name}"] = part
    return found


def raised(module: str, name: str) -> set[str]:
    """The errors that a function raises by name, itself or in private functions of its module."""
    known, errors = functions(module), set()
    for node in ast.walk(known[name]) if name in known else ():
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            errors.add(_class_of(module, ast.unparse(node.exc.func)))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("_"):
            errors |= raised(module, node.func.id)
    return errors


def _class_of(module: str, name: str) -> str:
    """Name of an error's class: `name` itself, or what a function of that name returns."""
    maker = getattr(sys.modules[module], name, None)
    if not inspect.isfunction(maker):
        return name
    made = maker.__annotations__["return"]
    return made if isinstance(made, str) else made.__name__


def documented(parsed, *sections: str) -> dict[str, str]:
    """Name -> text of the entries in some sections; `x, y : float` tells of two."""
    entries = [entry for entry in parsed.params if entry.args[0] in sections]
    return {name: entry.description or "" for entry in entries for name in entry.arg_name.split(", ")}


PUBLIC = public()


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_documented(name):
    value = PUBLIC[name]
    module = max((m for m in sys.modules if name.startswith(f"{m}.")), key=len)
    local = name.removeprefix(f"{module}.")
    written = inspect.getdoc(value) or ""
    assert not written.startswith(f"{local}("), "the docstring is dataclass's or NamedTuple's own"
    parsed = numpydoc.parse(written)
    assert parsed.short_description, "no first sentence"
    if inspect.isclass(value):
        told = documented(parsed, "param", "attribute")
        assert set(own_fields(value)) <= told.keys(), f"fields {own_fields(value)}, told are {list(told)}"
        errors = raised(module, f"{local}.__init__") | raised(module, f"{local}.__post_init__")
    else:
        told, taken = list(documented(parsed, "param")), own_parameters(value)
        assert told == taken or (not told and len(taken) < 2), f"takes {taken}, Parameters has {told}"
        errors = raised(module, local)
    assert errors <= {entry.type_name for entry in parsed.raises}, f"raises {errors}"


def test_public_names_are_found():
    assert len(PUBLIC) > 60

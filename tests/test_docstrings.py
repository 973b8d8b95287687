"""Every exported name, and each type that it returns, has a numpydoc docstring of its parameters or
fields.
"""

import importlib
import inspect
from functools import cached_property
from typing import ClassVar, get_origin

import pytest
from docstring_parser import numpydoc

import experiments
import simulator
import theory
from theory.claims.quantities import QUANTITIES
from theory.claims.relations import RELATIONS

PACKAGES = ("simulator", "theory", "experiments")
RETURNED = (  # types that exported functions return, and extension points of README.md
    "simulator.accuracy.Interval",
    "simulator.gaussian.fitting.Fitted",
    "simulator.gaussian.pairs.DrawnPairs",
    "simulator.towers.api.Towers",
    "simulator.towers.objectives.Objective",
    "simulator.towers.objectives.register",
    "simulator.views.Views",
    "simulator.views.register",
    "experiments.verdict.Verdict",
    "experiments.lab.mitigations.register",
)


def exported() -> list:
    """Classes and functions that the packages and theory.learners export."""
    packages = [importlib.import_module(package) for package in PACKAGES]
    learners = packages[1].learners
    given = [getattr(home, name) for home in packages for name in home._HOMES]
    given += [getattr(learners, name) for name in ("Learner", "named", "names")]
    for name in RETURNED:
        home, _, local = name.rpartition(".")
        given.append(getattr(importlib.import_module(home), local))
    return [x for x in given if inspect.isclass(x) or inspect.isroutine(x)]


def members(kind: type) -> dict[str, object]:
    """Public methods and properties that a class defines, without fields that hold functions."""
    described = lambda part: inspect.isroutine(part) or isinstance(part, property | cached_property)  # noqa: E731
    return {
        name: part
        for name, part in vars(kind).items()
        if not name.startswith("_") and name not in own_fields(kind) and described(part)
    }


def public() -> dict[str, object]:
    """Exported classes and functions, and the classes' methods and properties, by full name."""
    found = {f"{x.__module__}.{x.__qualname__}": x for x in exported()}
    parts = {
        f"{name}.{key}": part
        for name, x in found.items()
        if inspect.isclass(x)
        for key, part in members(x).items()
    }
    return found | parts


def own_fields(kind: type) -> list[str]:
    """Public fields that a class declares; the base documents class constants."""
    declared = inspect.get_annotations(kind).items()
    return [
        name
        for name, what in declared
        if not name.startswith("_") and get_origin(what) is not ClassVar
    ]


def own_parameters(value) -> list[str]:
    """Parameter names as in numpydoc: with stars before variadic ones, without self and cls."""
    if isinstance(value, property | cached_property):
        return []
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    given = inspect.signature(getattr(value, "__func__", value)).parameters.values()
    return [stars.get(p.kind, "") + p.name for p in given if p.name not in ("self", "cls")]


def documented(parsed, *sections: str) -> dict[str, str]:
    """Name -> text of the entries in some sections; `x, y : float` is two entries."""
    entries = [entry for entry in parsed.params if entry.args[0] in sections]
    return {
        name: entry.description or "" for entry in entries for name in entry.arg_name.split(", ")
    }


PUBLIC = public()


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_documented(name):
    value = PUBLIC[name]
    written = inspect.getdoc(value) or ""
    assert not written.startswith(f"{name.rpartition('.')[2]}("), (
        "the docstring is dataclass's or NamedTuple's own"
    )
    parsed = numpydoc.parse(written)
    assert parsed.short_description, "no first sentence"
    if inspect.isclass(value):
        known = documented(parsed, "param", "attribute")
        assert set(own_fields(value)) <= known.keys(), (
            f"fields {own_fields(value)}, documented are {list(known)}"
        )
    else:
        known = list(documented(parsed, "param"))
        taken = own_parameters(value)
        assert known == taken or (not known and len(taken) < 2), (
            f"takes {taken}, Parameters has {known}"
        )


def test_help_states_the_law_and_lists_what_a_claim_may_say():
    assert len(PUBLIC) > 60
    assert "mu_spu a + sigma_spu e2" in inspect.getdoc(simulator.World)
    words = inspect.getdoc(theory.Claim).split("\ndomain\n")[0]
    assert all(name in words for name in (*QUANTITIES, *RELATIONS))
    assert "*, p_spu=0.9," in str(inspect.signature(simulator.World))
    for package in (simulator, theory, experiments):
        assert all(name in package.__doc__ for name in package._HOMES)

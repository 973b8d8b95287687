"""Law 6, no option is lost: each one of each verb changes what the verb calls, or what it
prints.
"""

import ast
import importlib
import inspect
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, NoneType, SimpleNamespace
from typing import Annotated, Any, Literal, get_args, get_origin
from unittest.mock import MagicMock

import pytest

from experiments.command.main import VERBS
from experiments.court.registry import ALL_CLAIMS
from simulator.world import World

VERB = dict(path.split(":")[::-1] for path in VERBS)
# Imported at a module's top.
OUTSIDE = (
    "emit",
    "say",
    "learner_in",
    "claims_of_file",
    "own_vocabulary",
    "write_json",
    "write_text",
)
CLAIM = "xue-data-model-1/common"
# Two values of an option other than its default: by verb and name, by name, or by type.
VALUES: dict[Any, tuple[Any, Any]] = {
    bool: (True, True),
    int: (7, 8),
    float: (0.25, 0.5),
    str: ("x", "y"),
    Path: (Path("x"), Path("y")),
    "axis": (["mu_spu=1,2"], []),
    "at": (["p_spu=0.9"], []),
    "training": ({"steps": 7}, {}),
    "time": (2.0, 3.0),
    "scoring": ({"batch_size": 7}, {}),
    "fields": ({"mu_spu": 2.5}, {}),
    "data": (Path(), Path("..")),
    "learner": ("infonce", "bayes"),
    "mitigate": ("balance", "reweight"),
    "simulate learner": ("logistic", "linear"),
    "plot learner": (["x.py:X"], []),
    "sweep learner": (["bayes"], []),
    "finetune learner": (["obj"], []),
    "ids": (["wang-lemma-d3", CLAIM], [CLAIM]),
    "patterns": (["wang*"], ["xue*"]),
}
BESIDE = {  # what an option needs, or a verb
    "scale": {"learner": "infonce"},
    "start": {"time": 2.0},
    "sweep full": {"what": "x"},
    "batch_size": {"learner": "siglip", "scale": 0.25},
    "bias": {"learner": "siglip", "scale": 0.25, "batch_size": 7},
    "check verify": {"ids": []},
    "place": {"data": Path("y")},
    "place file": {"data": None, "fields": {"p_spu": 0.7}},
    "place fields": {"data": None, "file": Path("y")},
}
RESULTS = {  # of functions whose result a verb takes apart
    "plan": SimpleNamespace(blocks=(1,), bytes=1),
    "recipe_from": SimpleNamespace(steps=1),
    "size_of": 1.0,
    "design_or_file": ({}, "x", None),
    "picture_of": (None, {}),
    "requested": SimpleNamespace(cells=1),
    "trials": [SimpleNamespace(claim=CLAIM, verdict="supported")],
    "world_from": World(),
    "claims_of_file": ALL_CLAIMS,
}


class Anything(MagicMock):
    """The result of a function that is not run."""

    def __repr__(self) -> str:
        return "anything"


@cache
def imports(module):
    """(module, name) of what the functions of a verb's module import from the package when they
    run.
    """
    functions = (
        node
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.FunctionDef)
    )
    inside = {
        own for node in functions for own in ast.walk(node) if isinstance(own, ast.ImportFrom)
    }
    inside = {own for own in inside if own.module.startswith("experiments.")}
    return [
        (importlib.import_module(own.module), alias.name) for own in inside for alias in own.names
    ]


def values_of(verb, name, kind, default):
    """Two values of an option."""
    for known in (f"{verb} {name}", name, kind):
        if known in VALUES:
            return VALUES[known]
    parts = [part for part in get_args(kind) if part is not NoneType]
    if get_origin(kind) is Literal:
        return [part for part in parts[::-1] if part != default][:2]
    if get_origin(kind) is list:
        return [[value] for value in values_of(verb, "", parts[0], None)]
    return values_of(verb, "", parts[0] if get_origin(kind) is Annotated else parts[-1], default)


def leaves(function):
    """Every option, those of a dataclass in its place."""
    for own in inspect.signature(function).parameters.values():
        yield from leaves(type(own.default)) if is_dataclass(own.default) else [own]


def called_with(function, given):
    """The function's value for options by their names."""
    words = []
    named = dict[str, Any]()
    for name, own in inspect.signature(function).parameters.items():
        if is_dataclass(own.default):
            named[name] = called_with(type(own.default), given)
        elif own.kind == own.VAR_POSITIONAL:
            words += given.get(name, [])
        elif name in given and own.kind == own.POSITIONAL_ONLY:
            words.append(given[name])
        elif name in given:
            named[name] = given[name]
    return function(*words, **named)


def function_of(verb):
    return getattr(importlib.import_module(f"experiments.command.{VERB[verb]}"), verb)


@pytest.mark.parametrize(
    ("verb", "option"), [(verb, own.name) for verb in VERB for own in leaves(function_of(verb))]
)
def test_every_option_reaches_what_a_verb_calls(verb, option, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"experiments.command.{VERB[verb]}")
    calls: list[Any] = []

    def recorded(name, function):
        def call(*how, **named):
            calls.append((name, inspect.signature(function).bind(*how, **named).arguments))
            return RESULTS.get(name, Anything())

        return call

    for where, name in (*imports(module), *((module, name) for name in OUTSIDE)):
        if isinstance(getattr(where, name, None), FunctionType):
            monkeypatch.setattr(where, name, recorded(name, getattr(where, name)))

    def said(options):
        calls.clear()
        called_with(function_of(verb), options)
        return repr(calls), [f"{name}: {given[option]}" for name, given in calls if option in given]

    found = {}
    for own in leaves(function_of(verb)):
        values = values_of(verb, own.name, own.annotation, own.default)
        several = own.kind == own.VAR_POSITIONAL and own.name not in VALUES
        found[own.name] = [[value] for value in values] if several else values
    needs = {
        own.name: found[own.name][1]
        for own in leaves(function_of(verb))
        if own.default is own.empty
    }
    needs |= BESIDE.get(verb, {}) | BESIDE.get(option, {}) | BESIDE.get(f"{verb} {option}", {})
    before, own = said(needs)
    after, other = said(needs | {option: found[option][0]})
    assert before != after
    if option not in ("claims", "results"):  # functions get what is read from it
        assert not {*own} & {*other}, (
            "a function with a parameter of this name does not get the option"
        )

"""Every example in a docstring prints its expected output."""

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("simulator", "theory", "experiments")
MODULES = [
    *PACKAGES,
    *sorted(
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        if not module.name.endswith("__main__")
    ),
]


def examples(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name), name)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_their_expected_output(name):
    for test in examples(name):
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
        assert result.failed == 0, f"{test.name}: {result.failed} of {result.attempted} examples"


def test_there_are_examples():
    assert sum(len(test.examples) for name in MODULES for test in examples(name)) >= 15

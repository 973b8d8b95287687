"""Every example in a docstring prints its expected output."""

import doctest
import importlib
import pkgutil

PACKAGES = ("simulator", "theory", "experiments")


def modules():
    for package in map(importlib.import_module, PACKAGES):
        yield package
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                yield importlib.import_module(module.name)


def test_examples_print_their_expected_output():
    found = [
        doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE) for module in modules()
    ]
    assert sum(each.failed for each in found) == 0
    assert sum(each.attempted for each in found) >= 15

"""Law 5: what identifies a user's code changes with each part of it, and with nothing else."""

import importlib
import runpy
import sys

import pytest
from closed_form import claim

from experiments.provenance import source
from theory.claims.quantities import QUANTITIES
from theory.proofs.identity import digest_of

FILES = {
    "own.py": "from decorators import logged\nimport helpers\nfrom bases import Base\nLIMIT = 1\n"
    "class Own(Base):\n    @logged\n    def direction(self, worlds):\n        return helpers.twice(LIMIT)\n",
    "helpers.py": "import deeper\ndef twice(x):\n    return deeper.once(x) + 1\n",
    "deeper.py": "def once(x):\n    return x\n",
    "bases.py": "class Base:\n    def critic(self, world):\n        return 1\n",
    "decorators.py": "import functools\ndef logged(method):\n"
    "    return functools.wraps(method)(lambda *args: method(*args))\n",
    "other.py": "def unused():\n    return 1\n",
}
CHANGES = {  # what a file's text becomes
    "own.py": [("twice(LIMIT)", "twice(LIMIT + 1)"), ("LIMIT = 1", "LIMIT = 2")],
    "helpers.py": [("+ 1", "+ 2")],
    "deeper.py": [("return x", "return 2 * x")],
    "bases.py": [("return 1", "return 2")],
    "decorators.py": [("method(*args)", "-method(*args)")],
}


@pytest.fixture
def identity(tmp_path, monkeypatch):
    """Function of the files' texts: the hash of the class, read anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def found(files):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
            sys.modules.pop(name.removesuffix(".py"), None)
        return source(runpy.run_path(str(tmp_path / "own.py"))["Own"])

    yield found
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize("decorated", [True, False])
def test_a_users_class_is_all_files_that_it_is_made_of(identity, decorated):
    files = FILES if decorated else {**FILES, "own.py": FILES["own.py"].replace("    @logged\n", "")}
    first = identity(files)
    assert first is not None
    assert identity(files) == first
    assert identity({**files, "other.py": "x = 2\n"}) == first
    seen = {first}
    for name, changes in CHANGES.items():
        for old, new in changes:
            changed = files[name].replace(old, new)
            assert changed != files[name]
            seen.add(identity({**files, name: changed}))
    assert len(seen) == 1 + sum(map(len, CHANGES.values()))


QUANTITY = {
    "quantities.py": "from theory.claims.quantities import OfAccuracy\nfrom helpers import twice\n"
    "def of(a):\n    return twice(a.common)\nclass Own(OfAccuracy):\n    def at(self, x):\n        return x\n"
    "mine = Own(name='mine', of=of, support=(0.0, 2.0))\n",
    "helpers.py": "def twice(x):\n    return 2 * x\n",
}
OTHERS = [
    ("quantities.py", "twice(a.common)", "twice(a.counter)"),
    ("quantities.py", "return x", "return -x"),
    ("quantities.py", "(0.0, 2.0)", "(0.0, 3.0)"),
    ("helpers.py", "2 * x", "3 * x"),
]
WORDS = [
    ("quantities.py", "def of(a):", 'def of(a):\n    """Words."""'),
    ("helpers.py", "    return", "    # words\n    return"),
]


def test_a_claim_about_ones_own_quantity_is_all_that_the_quantity_computes(tmp_path, monkeypatch):
    """Its name alone was in the digest."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def digest(folder, *change):
        place = tmp_path / folder
        place.mkdir()
        for name, text in QUANTITY.items():
            (place / name).write_text(text.replace(*change[1:]) if change[:1] == (name,) else text)
            sys.modules.pop(name.removesuffix(".py"), None)
        with monkeypatch.context() as here:
            here.syspath_prepend(place)
            here.setitem(QUANTITIES, "mine", importlib.import_module("quantities").mine)
            found = digest_of(claim(quantity="mine"))
        assert found.source
        return found.sha256

    first = digest("first")
    assert len({first, *(digest(str(i), *change) for i, change in enumerate(OTHERS))}) == 1 + len(OTHERS)
    assert {digest(f"words {i}", *change) for i, change in enumerate(WORDS)} == {first}
    for name in QUANTITY:
        sys.modules.pop(name.removesuffix(".py"), None)

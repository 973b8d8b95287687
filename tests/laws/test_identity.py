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
    "own.py": (
        "from decorators import logged\nimport helpers\nfrom bases import Base\nLIMIT = 1\nclass"
        " Own(Base):\n    @logged\n    def direction(self, worlds):\n        return"
        " helpers.twice(LIMIT)\n"
    ),
    "helpers.py": "import deeper\ndef twice(x):\n    return deeper.once(x) + 1\n",
    "deeper.py": "def once(x):\n    return x\n",
    "bases.py": "class Base:\n    def critic(self, world):\n        return 1\n",
    "decorators.py": (
        "import functools\ndef logged(method):\n"
        "    return functools.wraps(method)(lambda *args: method(*args))\n"
    ),
    "other.py": "def unused():\n    return 1\n",
}
CHANGES = [  # file, its text, what becomes of it
    ("own.py", "twice(LIMIT)", "twice(LIMIT + 1)"),
    ("own.py", "LIMIT = 1", "LIMIT = 2"),
    ("helpers.py", "+ 1", "+ 2"),
    ("deeper.py", "return x", "return 2 * x"),
    ("bases.py", "return 1", "return 2"),
    ("decorators.py", "method(*args)", "-method(*args)"),
]
NOT_USED = [("other.py", "return 1", "return 2")]
PLAIN = {**FILES, "own.py": FILES["own.py"].replace("    @logged\n", "")}
QUANTITY = {
    "quantities.py": (
        "from theory.claims.quantities import OfAccuracy\nfrom helpers import twice\ndef of(a):\n  "
        "  return twice(a.common)\nclass Own(OfAccuracy):\n    def at(self, x):\n        return"
        " x\nmine = Own(name='mine', of=of, support=(0.0, 2.0))\n"
    ),
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


def of_class(folder, monkeypatch):
    return source(runpy.run_path(str(folder / "own.py"))["Own"])


def of_quantity(folder, monkeypatch):
    """The digest of a claim about the quantity."""
    monkeypatch.setitem(QUANTITIES, "mine", importlib.import_module("quantities").mine)
    found = digest_of(claim(quantity="mine"))
    assert found.source
    return found.sha256


@pytest.mark.parametrize(
    ("identity", "files", "others", "same"),
    [
        (of_class, FILES, CHANGES, NOT_USED),
        (of_class, PLAIN, CHANGES, NOT_USED),
        (of_quantity, QUANTITY, OTHERS, WORDS),
    ],
    ids=["class", "undecorated", "quantity"],
)
def test_users_code_is_all_that_it_is_made_of(identity, files, others, same, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def found(*change):
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text.replace(*change[1:]) if change[:1] == (name,) else text)
            sys.modules.pop(name.removesuffix(".py"), None)
        with monkeypatch.context() as here:
            here.syspath_prepend(folder)
            return identity(folder, here)

    first = found()
    assert first is not None
    assert {found(), *(found(*change) for change in same)} == {first}
    assert len({first, *(found(*change) for change in others)}) == 1 + len(others)
    for name in files:
        sys.modules.pop(name.removesuffix(".py"), None)

"""Law 5: what identifies a user's code changes with each part of it, and with nothing else."""

import runpy
import sys

import pytest

from experiments.provenance import source

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

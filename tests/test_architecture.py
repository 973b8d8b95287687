"""The layout: imports go one way, theory imports no measurements, the top level is fixed."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest
from fresh import printed

ROOT = Path(__file__).parent.parent
PACKAGES = ("simulator", "theory", "experiments")
# Subpackages of experiments, lowest first. Modules directly in experiments are below all of them.
LAYERS = (
    (),
    ("published",),
    ("heads",),
    ("photos",),
    ("lab",),
    ("ground_truth",),
    ("court",),
    ("page",),
    ("command", "benchmarks"),
)
# What theory may import from the simulator: worlds, their groups, results as text, the accuracy of
# a linear critic.
OPEN_TO_THEORY = {
    "simulator.quantities",
    "simulator.naming",
    "simulator.accuracy",
    "simulator.mixture",
    "simulator.prompts",
    "simulator.summary",
    "simulator.tables",
    "simulator.world",
    "simulator.gaussian.critic",
    "simulator.gaussian.statistics",  # a learner says which exact law of n pairs is its own
}


@cache
def imports(path: Path, types: bool = False) -> set[str]:
    """Modules that a file imports, also in function bodies, and under TYPE_CHECKING if `types`."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    found = set()
    typing = {
        id(node)
        for block in nodes
        if isinstance(block, ast.If) and getattr(block.test, "id", None) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in nodes:
        if id(node) in typing and not types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {node.module}
    return found


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


@pytest.mark.parametrize(("package", "types"), [("", False), ("experiments.lab.", True)])
def test_no_imports_form_a_circle(package, types):
    part = {name: path for name, path in MODULES.items() if name.startswith(package)}
    graph = {name: imports(path, types) & part.keys() - {name} for name, path in part.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def layer(name: str) -> int:
    """Position of a module of experiments in the order of the subpackages."""
    room = name.split(".")[1]
    return next((i for i, rooms in enumerate(LAYERS) if room in rooms), 0)


def test_subpackages_of_experiments_import_downwards():
    inside = {
        name
        for name in MODULES
        if name.startswith("experiments.") and name != "experiments.__main__"
    }
    upward = [
        f"{name} imports {other}"
        for name in sorted(inside)
        for other in imports(MODULES[name]) & inside
        if layer(other) > layer(name)
    ]
    assert upward == []


@pytest.mark.parametrize(
    ("package", "closed"),
    [("simulator", ("theory", "experiments")), ("theory", ("torch", "experiments"))],
)
def test_lower_packages_import_nothing_from_above_and_theory_no_measurement(package, closed):
    for path in (path for name, path in MODULES.items() if name.partition(".")[0] == package):
        for name in imports(path):
            top = name.split(".")[0]
            assert top not in closed, f"{path.name} imports {name}"
            assert package == top or top != "simulator" or name in OPEN_TO_THEORY, (
                f"{path.name} imports {name}"
            )


@pytest.mark.parametrize("package", PACKAGES)
def test_stubs_name_the_module_of_each_lazy_name(package):
    stub = ast.parse((ROOT / package / "__init__.pyi").read_text(encoding="utf-8")).body
    declared = {
        alias.asname: getattr(import_module(node.module), alias.name)
        for node in stub
        for alias in node.names
    }
    lazy = import_module(package)
    assert declared == {name: getattr(lazy, name) for name in lazy._HOMES}
    assert (ROOT / package / "py.typed").exists()


def test_a_missing_dependency_is_named(monkeypatch):
    """It ended in a RecursionError of a thousand lines."""
    import theory

    monkeypatch.delitem(vars(theory), "learners", raising=False)
    monkeypatch.setitem(sys.modules, "theory.learners", None)
    with pytest.raises(ModuleNotFoundError, match=r"theory\.learners"):
        theory.learners  # noqa: B018


HEAVY = ["torch", "scipy.stats", "scipy.optimize", "xarray", "matplotlib"]
LIGHT = (  # statements in one process, and modules that are still absent after each
    ("import experiments.command.main", ["numpy", "pydantic", "theory", *HEAVY]),
    ("import theory", ["numpy", *HEAVY]),
    ("from simulator import Attribute, Accuracy, World", HEAVY),
    ("from theory import Claim; import theory.docket.catalogue", HEAVY),
    ("from experiments.command import laboratory, synthetic, trials", HEAVY),
    ("experiments.command.main.main(['counteranimal', 'evaluate', '--help'])", [*HEAVY, "PIL"]),
    (
        "experiments.command.main.main(['predict', '--json'])",
        ["torch", "scipy.stats", "xarray", "matplotlib"],
    ),
    ("import experiments.lab.history, experiments.lab.store, experiments.page.plot", ["torch"]),
)


def test_imports_and_linear_predict_load_no_heavy_module():
    checks = [
        f"{statement}; print([m for m in {absent!r} if m in sys.modules])"
        for statement, absent in LIGHT
    ]
    lines = printed("import sys\n" + "\n".join(checks)).splitlines()
    assert [line for line in lines if line.startswith("[")] == ["[]"] * len(LIGHT)


def test_top_level_is_fixed():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    tops = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    visible = {top for top in tops if not top.startswith(".")}
    assert visible <= {*PACKAGES, "tests", "pyproject.toml", "README.md", "LICENSE", "CITATION.cff"}

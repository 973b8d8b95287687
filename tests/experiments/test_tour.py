"""The notebook: its cells run one after another, in less than 60 CPU seconds, and end in a verdict."""

import ast
import json
import warnings
from pathlib import Path
from time import process_time

import pytest
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
TOUR = json.loads((ROOT / "experiments" / "tour.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in TOUR["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_saved_without_results():
    assert (TOUR["nbformat"], len({cell["id"] for cell in TOUR["cells"]})) == (4, len(TOUR["cells"]))
    assert all(cell["outputs"] == [] for cell in TOUR["cells"] if cell["cell_type"] == "code")


def test_every_cell_runs(monkeypatch, tmp_path):
    """Each result is shown as a server would show it. Three short towers agree with theory to about .03."""
    monkeypatch.syspath_prepend(ROOT / "experiments" / "command" / "entry")
    monkeypatch.chdir(tmp_path)
    began, names = process_time(), {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for code in CODE:
            *statements, last = ast.parse(code).body
            exec(compile(ast.Module(statements, []), "cell", "exec"), names)
            if isinstance(last, ast.Expr):
                shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
                shown = shown if isinstance(shown, tuple) else [shown]
                assert all(one._repr_html_() or isinstance(one, Figure) for one in shown)
            else:
                exec(compile(ast.Module([last], []), "cell", "exec"), names)
    assert process_time() - began < 60
    for prompt, theory in (("name", names["by_name"]), ("mean", names["by_mean"])):
        assert list(names["towers"].accuracy(prompt)) == pytest.approx([float(x) for x in theory], abs=0.05)
    assert names["verdict"].verdict == "supported"

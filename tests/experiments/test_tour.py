"""The notebook: its cells take less than 60 CPU seconds and show what is saved; as a script this
saves it anew.
"""

import ast
import json
import re
import warnings
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
HOME = ROOT / "experiments" / "tour.ipynb"
ENTRY = ROOT / "experiments" / "command" / "entry"
TOUR = json.loads(HOME.read_text(encoding="utf-8"))
CODE = [cell for cell in TOUR["cells"] if cell["cell_type"] == "code"]
NUMBER = re.compile(r"\d+\.\d+(e-?\d+)?")
# how far accuracies of three short towers may lie from theory, or from those of another machine
TOWERS = 0.05


def displayed(value: Any) -> dict[str, Any]:
    """What a server shows of a result: its text, and the richer forms that it offers."""
    html, png = (getattr(value, f"_repr_{form}_", lambda: None)() for form in ("html", "png"))
    image = png and b64encode(png).decode()
    return {
        "text/plain": [repr(value)],
        **({"text/html": [html]} if html else {}),
        **({"image/png": image} if image else {}),
    }


def executed() -> tuple[list[list[dict[str, Any]]], dict[str, Any]]:
    """(outputs of every code cell in the notebook's format, the names that the cells define)."""
    found = []
    names = {}
    for number, cell in enumerate(CODE, start=1):
        *statements, last = ast.parse("".join(cell["source"])).body
        shown = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
        exec(
            compile(
                ast.Module(statements if shown else [*statements, last], []), cell["id"], "exec"
            ),
            names,
        )
        data = shown and displayed(eval(compile(shown, cell["id"], "eval"), names))
        result = {
            "output_type": "execute_result",
            "execution_count": number,
            "metadata": {},
            "data": data,
        }
        found.append([result] if data else [])
    return found, names


def test_every_cell_runs_and_shows_what_the_notebook_shows(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ENTRY)
    monkeypatch.chdir(tmp_path)
    began = process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, names = executed()
    assert process_time() - began < 60
    for prompt, theory in (("name", names["by_name"]), ("mean", names["by_mean"])):
        assert list(names["towers"].accuracy(prompt)) == pytest.approx(
            [float(x) for x in theory], abs=TOWERS
        )
    assert names["verdict"].verdict == "supported"
    images = 0
    for number, (cell, outputs) in enumerate(zip(CODE, found, strict=True), start=1):
        assert cell["execution_count"] == number
        assert [one["data"].keys() for one in cell["outputs"]] == [
            one["data"].keys() for one in outputs
        ], cell["id"]
        for saved, now in zip(cell["outputs"], outputs, strict=True):
            for form in saved["data"].keys() & {"text/plain", "text/html"}:
                texts = ["".join(one["data"][form]) for one in (saved, now)]
                assert NUMBER.sub("#", texts[0]) == NUMBER.sub("#", texts[1])
                numbers = [[float(each[0]) for each in NUMBER.finditer(text)] for text in texts]
                assert numbers[0] == pytest.approx(
                    numbers[1], abs=TOWERS if "towers" in "".join(cell["source"]) else 1e-3
                )
            for one in (saved, now):
                if "image/png" in one["data"]:
                    image = Image.open(BytesIO(b64decode(one["data"]["image/png"])))
                    assert image.width > 500
                    assert len(image.convert("RGB").getcolors(2**20)) > 100, (
                        "an image without lines"
                    )
                    images += 1
    assert images == 2, "the figure of the study: saved, and now"


def test_the_notebook_is_saved_as_it_is_written():
    """Cells have identities of their own, nothing went to stderr, and no output names this
    machine.
    """
    text = HOME.read_text(encoding="utf-8")
    assert text == json.dumps(TOUR, indent=1, ensure_ascii=False) + "\n"
    assert (TOUR["nbformat"], len({cell["id"] for cell in TOUR["cells"]})) == (
        4,
        len(TOUR["cells"]),
    )
    assert not re.search(r"0x[0-9a-f]{6}|/home/|/usr/|/tmp/|/Users/", text)
    assert len(text) < 200_000


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(ENTRY))
    for number, (cell, outputs) in enumerate(zip(CODE, executed()[0], strict=True), start=1):
        cell.update(execution_count=number, outputs=outputs)
    HOME.write_text(json.dumps(TOUR, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

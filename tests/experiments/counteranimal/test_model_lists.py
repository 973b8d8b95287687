"""A list of models is read line by line, and a dry run tells what the paper prints, without a network or weights."""

import pytest

from experiments.counteranimal.model_lists import NONE, combined, listed
from experiments.errors import RequestError
from experiments.published.tables import checkpoints, published_rows


def test_a_file_of_models(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"")
    file = tmp_path / "models.txt"
    file.write_text("open_clip:ViT-B-32/openai  # the first\n\n# none\ntimm:resnet50 w.pt\ntimm:resnet18 -\n")
    specs, weights = listed(str(file))
    assert specs == ["open_clip:ViT-B-32/openai", "timm:resnet50", "timm:resnet18"]
    assert weights == [NONE, tmp_path / "w.pt", NONE]
    assert combined(["a:b"], None, str(file)) == (["a:b", *specs], [NONE, *weights])
    assert combined(["a:b"], None, None) == (["a:b"], None)
    for text in ("a b c\n", "# x\n", "\xff"):
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(RequestError, match=r"models\.txt"):
            listed(str(file))
    with pytest.raises(RequestError, match=r"table-4.*table-3"):
        listed("table-4")
    with pytest.raises(RequestError, match="no model"):
        combined(None, None, None)


def test_table_3_dry(run):
    """28 rows in the order of the table, each with its checkpoint and its printed figures."""
    found, _ = run("evaluate", "--models", "table-3", "--dry-run", "--json")
    printed = {row.model: (row.common, row.counter) for row in published_rows("1000", "simple", "macro")}
    assert [m["model"] for m in found] == [c.spec for c in checkpoints()]
    figures = [(m["printed"]["common"], m["printed"]["counter"]) for m in found]
    assert figures == [printed[c.model] for c in checkpoints()]
    screen, _ = run("evaluate", "--models", "table-3", "--dry-run")
    assert "28 models" in screen
    with pytest.raises(RequestError, match="needs photos"):
        run("evaluate", "--models", "table-3")

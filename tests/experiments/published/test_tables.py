"""The checkpoints behind Table 3: one for each of its rows, and open_clip knows them all."""

import pytest

from experiments.errors import RequestError
from experiments.published.tables import checkpoint_spec, checkpoints, coloured_objects, published_name, published_rows


def test_every_row_of_table_3_has_its_checkpoint():
    printed = [row.model for row in published_rows() if row.family == "CLIP"]
    assert [c.model for c in checkpoints()] == printed
    assert len({c.spec for c in checkpoints()}) == 28
    for c in checkpoints():
        assert checkpoint_spec(f"published:{c.model}") == c.spec
        assert published_name(c.spec) == c.model


def test_other_specifications_stay_as_they_are():
    assert checkpoint_spec("timm:resnet50.a1_in1k") == "timm:resnet50.a1_in1k"
    assert published_name("timm:resnet50.a1_in1k") is None
    with pytest.raises(RequestError, match="nearest is 'CLIP-OpenAI-RN50'"):
        checkpoint_spec("published:CLIP-OpenAI-RN5O")


def test_open_clip_has_every_checkpoint_with_its_activation():
    pretrained = pytest.importorskip("open_clip.pretrained")
    for c in checkpoints():
        name, _, tag = c.spec.removeprefix("open_clip:").partition("/")
        found = pretrained.get_pretrained_cfg(name, tag)
        assert found, c.spec
        assert bool(found.get("quick_gelu", False)) == c.quick_gelu, c.spec


def test_table_7_is_whole_counts_of_900_images_under_our_names():
    rows = coloured_objects()
    assert len(rows) == 16
    assert {row["learner"] for row in rows} == {"zero-shot", "obj", "objbkg", "supervised"}
    for row in rows:  # printed to .01 %, so a count is known to .045
        assert abs(900 * row["printed"] - round(900 * row["printed"])) <= 0.045 + 1e-9
    (one,) = (
        r["printed"] for r in rows if (r["backbone"], r["learner"], r["group"]) == ("RN50", "zero-shot", "trained")
    )
    assert one == pytest.approx(0.6967)

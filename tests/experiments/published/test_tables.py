"""The printed tables: numbers, checkpoints of Table 3, rows per protocol, and later work."""

import csv
import json
from collections import Counter

import pytest

from experiments.errors import RequestError
from experiments.published.tables import (
    checkpoint_spec,
    checkpoints,
    classwise,
    coloured_objects,
    later_work_rows,
    published_rows,
    read_published,
    tidy,
)


def test_every_row_of_table_3_has_its_checkpoint():
    printed = [row.model for row in published_rows() if row.family == "CLIP"]
    assert [c["model"] for c in checkpoints()] == printed
    assert len({c["spec"] for c in checkpoints()}) == 28
    for c in checkpoints():
        assert checkpoint_spec(f"published:{c['model']}") == c["spec"]
    assert checkpoint_spec("timm:resnet50.a1_in1k") == "timm:resnet50.a1_in1k"
    with pytest.raises(RequestError, match="nearest is 'CLIP-OpenAI-RN50'"):
        checkpoint_spec("published:CLIP-OpenAI-RN5O")


def test_open_clip_has_every_checkpoint_with_its_activation():
    pretrained = pytest.importorskip("open_clip.pretrained")
    for c in checkpoints():
        name, _, tag = c["spec"].removeprefix("open_clip:").partition("/")
        found = pretrained.get_pretrained_cfg(name, tag)
        assert found, c["spec"]
        assert bool(found.get("quick_gelu", False)) == c["quick_gelu"], c["spec"]


def test_table_7_is_whole_counts_of_900_images_under_our_names():
    rows = coloured_objects()
    assert len(rows) == 16
    assert {row["learner"] for row in rows} == {"zero-shot", "obj", "objbkg", "supervised"}
    for row in rows:  # printed to .01 %, so a count is known to .045
        assert abs(900 * row["printed"] - round(900 * row["printed"])) <= 0.045 + 1e-9
    (one,) = (
        r["printed"]
        for r in rows
        if (r["backbone"], r["learner"], r["group"]) == ("RN50", "zero-shot", "trained")
    )
    assert one == pytest.approx(0.6967)


def test_every_figure_names_its_cell():
    raw = read_published()
    for figure in tidy(raw):
        assert raw[figure["file"]][figure["row"] - 1][figure["quantity"]] == figure["printed"]


def test_published_rows_are_28_and_15():
    for labels, mean, lvlm in (("1000", "macro", 0), ("20", "macro", 2), ("1000", "micro", 0)):
        rows = published_rows(labels, "simple", mean)
        assert Counter(r.family for r in rows) == Counter(CLIP=28, ImageNet=15, LVLM=lvlm)
        assert len({r.model for r in rows}) == len(rows)
    printed = {row.model: (row.common, row.counter) for row, _ in later_work_rows()}
    assert printed["ResNet-50 (H-SPLID)"] == pytest.approx((0.803, 0.606))
    assert len(printed) == 8


def test_the_document_has_printed_numbers_as_fractions_and_later_work_and_files_have_the_same(
    run, tmp_path
):
    document, _ = run("published", "--json", "--output", tmp_path)
    assert json.loads((tmp_path / "published.json").read_text()) == document
    for part, name in (("table", "printed"), ("audit", "reason"), ("since", "model")):
        with (tmp_path / f"{part}.csv").open(newline="") as file:
            assert [row[name] for row in csv.DictReader(file)] == [
                row[name] for row in document[part]
            ]
    records = document["table"]
    (one,) = [r for r in records if (r["table"], r["row"], r["quantity"]) == (3, 11, "counter")]
    assert (one["printed"], one["model"]) == ("36.95", "CLIP-LAION400M-ViT/B/32")
    assert one["value"] == pytest.approx(0.3695)
    assert {r["table"] for r in records} == {2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
    assert sum(r["table"] == 16 for r in records) == 135 * 3
    assert classwise("CLIP-OpenAI-ViT/B/32")[296] == (1.0, 0.9364)
    assert classwise("CLIP-OpenAI-RN50") is None
    first = document["since"][0]
    macro = first["common_off_macro"], first["counter_off_macro"]
    assert macro == pytest.approx((0.783 - 0.8144, 0.584 - 0.6607))
    assert first["counter_off_micro"] == pytest.approx(0.584 - 0.6297)

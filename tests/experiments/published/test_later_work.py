"""Numbers since the paper: shown beside its own, in no line, no standing and no pair."""

import numpy as np
import pytest

from experiments.counteranimal.robustness import compare, gather
from experiments.published.export import published_document, write_published
from experiments.published.later_work import later_work_rows
from experiments.published.tables import published_rows

PROTOCOL = ("macro", "1000", "simple")


def test_what_was_printed():
    printed = {row.model: (row.common, row.counter) for row, _ in later_work_rows()}
    assert len(printed) == 8
    assert printed["ResNet-50 (H-SPLID)"] == pytest.approx((0.803, 0.606))
    assert not set(printed) & {row.model for row in published_rows()}


def test_they_move_no_line_and_are_measured_against_none():
    alone = compare(gather(["published"], *PROTOCOL))
    beside = compare(gather(["published", "published-since"], *PROTOCOL))
    assert beside["lines"] == alone["lines"]
    strangers = [row for row in beside["rows"] if not row["comparable"]]
    assert len(strangers) == 8
    assert all(row["effective_robustness"] is None and row["protocol"] for row in strangers)
    known = {row["model"]: row["effective_robustness"] for row in alone["rows"]}
    assert all(known[row["model"]] == row["effective_robustness"] for row in beside["rows"] if row["comparable"])
    assert compare(gather(["published-since"], *PROTOCOL))["lines"] == {}


def test_the_dossier_says_how_far_the_protocols_are_apart(tmp_path):
    document = published_document()
    first = document["since"][0]
    macro = first["common_off_macro"], first["counter_off_macro"]
    assert macro == pytest.approx((0.783 - 0.8144, 0.584 - 0.6607))
    assert first["counter_off_micro"] == pytest.approx(0.584 - 0.6297)
    gains = [row["counter"] - first["counter"] for row in document["since"]]
    assert np.max(gains) < abs(macro[1])  # the protocols differ by more than the gain
    write_published(tmp_path, document)
    assert len((tmp_path / "since.csv").read_text().splitlines()) == 9

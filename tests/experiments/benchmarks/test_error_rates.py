"""The record of how often the judge errs: its planted claims, and what the README says of it."""

import csv
import re
from pathlib import Path

import pytest
from scipy import stats
from stattest import SHARE, spend

from experiments.benchmarks.error_rates import HEADER, KINDS, TAILS, planted
from experiments.court.worst_point import by_formula
from theory import claims

FOLDER = Path(claims.__file__).parent
RECORD = [*csv.DictReader((FOLDER / "error_rates.csv").read_text().splitlines())]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_planted_claim_fails_by_what_it_says(kind):
    """The search finds it, for every relation."""
    for number in range(len(kind.relations)):
        claim = planted(kind, number, 2)
        assert claim.relation.name == kind.relations[number]
        assert by_formula(claim, 0).violation == pytest.approx(2 * claim.tau, rel=1e-3)


def total(violation: str, column: str) -> int:
    return sum(int(row[column]) for row in RECORD if row["violation"] == violation)


def test_the_record_keeps_the_error_rates():
    """Over all kinds, and for each of them: p is at most a tail with its probability at most, where
    the claim holds.
    """
    spend(SHARE)
    assert [*RECORD[0]] == list(HEADER)
    assert [row["kind"] for row in RECORD[::2]] == list(KINDS)
    for tail in TAILS:
        column = f"p <= {tail:g}"
        each = [
            (int(row["claims"]), int(row[column])) for row in RECORD if row["violation"] == "1 tau"
        ]
        for tried, below in [(total("1 tau", "claims"), total("1 tau", column)), *each]:
            assert below <= stats.binom.isf(SHARE / 36, tried, tail)
    assert total("1 tau", "claims") >= 100


def test_the_readme_quotes_the_record():
    pattern = (
        r"Of (\d+) planted claims .* p ≤ \.05 for (\d+) and contradicts (\d+); of (\d+) .*"
        r" contradicts (\d+)"
    )
    quoted = re.search(pattern, (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert quoted is not None
    due = [total("1 tau", column) for column in ("claims", "p <= 0.05", "contradicted")]
    assert [*map(int, quoted.groups())] == [
        *due,
        *(total("2 tau", column) for column in ("claims", "contradicted")),
    ]

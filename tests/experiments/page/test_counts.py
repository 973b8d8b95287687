"""Statements are counted by sentence, also in the README, and stored trials show their worlds and
rows.
"""

import re
from dataclasses import replace

import pytest

from experiments.court.registry import ALL_CLAIMS
from experiments.court.trained import stored_documents, stored_for
from experiments.page.counts import counts, entries, readings, summary
from experiments.page.evidence import details
from experiments.verdict import Verdict, rate_sentence, words_of
from tests.test_readme import CLAIMS as CLAIMS_PAGE
from tests.test_readme import README, RECORD
from theory.claims.trained import TrainedClaim
from theory.docket.catalogue import CLAIMS

WORDS = {"source": "", "statement": "", "seconds": 0.0}


def verdicts(*words: str, sentence: str = "one", **fields) -> list[Verdict]:
    common = {**WORDS, "claim": "mine", "quote": "“One.”" if sentence else "", "sentence": sentence}
    return [Verdict(**{**common, "verdict": word, **fields}) for word in words]


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("proved supported", "holds"),
        ("contradicted contradicted", "fails"),
        ("supported contradicted undecided", "depends on how it is read"),
        ("supported undecided", "undecided"),
        ("contradicted undecided", "undecided"),
        ("refused", "undecided"),
    ],
)
def test_a_sentence_has_one_outcome(words, outcome):
    (entry,) = entries(verdicts(*words.split()))
    assert entry.outcome == outcome


def test_statements_of_papers_and_own_ones_are_counted_apart():
    stored = verdicts("supported", sentence="two", kind="trained", stored=True, cases=[])
    own = [*verdicts("proved", sentence=""), *verdicts("contradicted", sentence="", claim="yours")]
    published, ours = counts([*verdicts("supported", "contradicted"), *stored, *own])
    expected = (
        "Of 2 published statements 1 holds and 1 depends on how it is read (1 tried in this run, 1"
        " shown from"
    )
    assert published == f"{expected} stored trials)."
    assert ours == "Of 2 statements of our own 1 holds and 1 fails (2 tried in this run)."
    assert counts(own, provenance=False) == ["Of 2 statements of our own 1 holds and 1 fails."]
    (lemma,) = (claim for claim in CLAIMS if claim.id == "wang-lemma-d3")
    first, *_ = (claim for claim in CLAIMS if claim.sentence == "xue-superior-accuracy")
    whole = Verdict(**words_of(lemma), verdict="supported", seconds=0.0)
    part = Verdict(**words_of(first), verdict="supported", seconds=0.0)
    assert [entry.part for entry in entries([whole, part])] == ["", ", by 1 of 4 claims"]
    assert counts([whole, part])[0].endswith("For 1 of them only some claims were tried.")


@pytest.mark.parametrize(
    "other", [{"kind": "trained", "stored": True, "cases": []}, {"kind": "published"}]
)
def test_a_sentence_with_one_fresh_verdict_was_tried_in_this_run(other):
    two = [*verdicts("supported", sentence="two", **other), *verdicts("supported", sentence="two")]
    three = verdicts("supported", sentence="three", **other)
    fresh, mixed, alone = entries([*verdicts("supported"), *two, *three])
    assert mixed.shown_from == fresh.shown_from != alone.shown_from


def test_readings_stand_side_by_side():
    always, some = (
        Verdict(**WORDS, claim=f"{family}/a", verdict="proved", quantifier=q)
        for family, q in (("one", "always"), ("two", "somewhere"))
    )
    (alone,) = verdicts("proved", claim="three/b")
    table = readings([always, some, alone], lambda verdict: verdict.claim)
    assert table.rows[1:] == [["one/a", "one/a", "two/a", ""], ["three/b", "three/b", "", ""]]
    assert readings([always, alone], str).records == []


def test_contradictions_stand_with_their_error_rates():
    tested = {"alpha": 0.01, "p_value": 1e-9}
    found = [*verdicts("supported", **tested), *verdicts("contradicted", claim="yours", **tested)]
    *_, each, last = summary(found)
    assert each == "Claim by claim: 1 supported, 1 contradicted."
    assert re.findall(r"\d*\.?\d+", last)[:4] == [".005", "1", "1", "0.01"]
    assert "For trained towers" in summary([replace(found[0], kind="trained", cases=[])])[-1]


def recorded() -> list[Verdict]:
    """The verdicts of tests/verdicts.csv."""

    def verdict_of(claim) -> Verdict:
        found = Verdict(**words_of(claim), verdict=RECORD[claim.id], seconds=0.0)
        if isinstance(claim, TrainedClaim):
            return replace(found, kind="trained", cases=[], stored=stored_for(claim) is not None)
        return found if claim in CLAIMS else replace(found, kind="published")

    return [verdict_of(claim) for claim in ALL_CLAIMS]


def test_the_readme_has_the_counts_of_the_record():
    assert all(sentence in README for sentence in counts(recorded()))
    assert f"tries {len(ALL_CLAIMS)} claims" in README
    assert rate_sentence() in CLAIMS_PAGE
    assert rate_sentence(0.1).startswith(
        "A contradiction is wrong with probability at most .05 per claim"
    )


def test_every_stored_trial_shows_its_worlds_and_rows():
    """Worlds of views, of a correlation and of a table are named by other fields."""
    trained = [claim for claim in ALL_CLAIMS if isinstance(claim, TrainedClaim)]
    stored = {claim.id: verdict for claim in trained if (verdict := stored_for(claim)) is not None}
    assert stored.keys() == {verdict["claim"] for verdict in stored_documents()}
    for name, verdict in stored.items():
        shown = [value for term, value in details(verdict) if term == "case"]
        assert len(shown) == len(verdict.cases) > 0, name
        assert dict(details(verdict))["error rate α/2"] == "0.005 (nominal: t bounds)"
        for text, case in zip(shown, verdict.cases, strict=True):
            table = case["world"].get("table")
            assert text.startswith(f"a {len(table)} x {len(table[0])} table" if table else "p_"), (
                text
            )
            numbers = [(row["group"], row["measured"], row["predicted"]) for row in case["rows"]]
            words = [
                f"{group}.* {one:.4g}" + ("" if two is None else rf" \(theory {two:.4g}\)")
                for group, one, two in numbers
            ]
            assert re.search("; ".join(words), text), text
            case["rows"].clear()  # a verdict is its reader's: the evidence that others read stays
    assert all(case["rows"] for document in stored_documents() for case in document["cases"])

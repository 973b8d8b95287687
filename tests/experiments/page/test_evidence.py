"""The numbers behind a verdict, as pages show them."""

import re

from experiments.court.registry import ALL_CLAIMS
from experiments.court.trained import stored_documents, stored_for
from experiments.page.evidence import details
from theory.claims.trained import TrainedClaim


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
            assert text.startswith(f"a {len(table)} x {len(table[0])} table" if table else "p_"), text
            numbers = [(row["group"], row["measured"], row["predicted"]) for row in case["rows"]]
            words = [
                f"{group}.* {one:.4g}" + ("" if two is None else rf" \(theory {two:.4g}\)")
                for group, one, two in numbers
            ]
            assert re.search("; ".join(words), text), text

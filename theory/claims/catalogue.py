"""The docket of the formulas: every claim that closed forms and drawn data can decide, by source."""

from theory.claims import around, ours, prompts, quarrel, wang, xue
from theory.claims.claim import Claim


def claims() -> list[Claim]:
    """All claims, in the order of the papers, then where they quarrel, then our own."""
    return [*wang.claims(), *xue.claims(), *quarrel.claims(), *around.claims(), *ours.claims(), *prompts.claims()]

"""Verdicts as a LaTeX table: escaped, complete, and never over somebody else's file."""

import re
from dataclasses import replace

from experiments.court.registry import ALL_CLAIMS
from experiments.court.trained import stored_for
from experiments.files import LATEX_MARK
from experiments.page.latex import domain, latex_table
from experiments.published.claims import judge
from experiments.table import escaped
from theory.docket.catalogue import CLAIMS, TRAINED

CLAIM = next(c for c in CLAIMS if c.id == "xue-data-model-1/counter")
HOSTILE = "100% of #1 & $x_i^2$ {a}\\input{/etc/passwd}~\n\n<b>|“ν ≥ 0”|é∰"


def cells(table: str) -> list[list[str]]:
    body = table.split(r"\hline")[2]
    return [
        re.split(r"(?<!\\)&", row.removesuffix(r"\\").strip()) for row in body.strip().splitlines()
    ]


def test_every_kind_of_claim_has_a_row(verdict, tmp_path):
    trained = next(c for c in TRAINED if c.id == "trained/siglip")
    table = next(c for c in ALL_CLAIMS if c.id == "counteranimal/clip-drops")
    proof = {"outcome": "proved", "exact": True}
    proved = replace(verdict, verdict="proved", proof=proof, statement=HOSTILE, alpha=0.05)
    text = latex_table(
        [proved, stored_for(trained), judge(table)], [CLAIM, trained, table], 7, tmp_path / "a_b"
    )
    assert text.startswith(f"{LATEX_MARK}\n\\begin{{table*}}\n")
    assert re.search(r"Verdicts of soberclip [\w.+ ]+, seed 7\.", text)
    rows = cells(text)
    assert [len(row) for row in rows] == [7] * 3
    parts = (
        "",
        "sigma\\_spu from 0 to 2",
        "proved",
        "p\\_spu = ",
        "95\\% interval",
        "0.025",
        "a\\_b/xue-data",
    )
    assert all(part in cell for cell, part in zip(rows[0], parts, strict=True))
    assert re.search(r" [0-9a-f]{12}, ", rows[0][-1])
    assert [row[5].strip() for row in rows[1:]] == ["0.005"] * 2
    assert "the published tables" in rows[2][1]
    assert "mu\\_spu = 1" in rows[1][1]
    plain = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum)\{\}|\\[&%$#_{}]", "", escaped(HOSTILE)
    )
    assert not set(plain) & set("&%#_{}~^\n")
    assert plain.count("$") % 2 == 0
    assert plain.endswith(r"``$\nu$ $\ge$ 0''$|$é[U+2230]")


def test_domains_are_formulas():
    for claim, words in (
        ("wang-theorem-6.2-error", "mu_spu from (sigma_inv**2 + 2) / 2 to 10"),
        ("many-classes/name-closed-form", "classes from 3 to 8 (whole numbers)"),
        ("most-harmful-correlation/place", "p_spu = (1 + (sqrt((1 + sigma_inv**2)) / mu_spu)) / 2"),
    ):
        assert words in domain(next(c for c in CLAIMS if c.id == claim))

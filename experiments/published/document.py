"""The paper's tables as one document: figures, checkpoints, audit, claims, later work."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.files import output_folder, write_json, write_table
from experiments.published.audit import findings
from experiments.published.claims import CLAIMS
from experiments.published.tables import (
    checkpoints,
    later_work_rows,
    published_rows,
    read_published,
    tidy,
)
from experiments.results import GROUPS, QUANTITIES

TABLES = ("table", "checkpoints", "audit", "since")  # these parts are also written as CSV
ROW = "ImageNet-RN50"  # [W]'s row of the architecture that all later work uses


def published_document() -> dict[str, Any]:
    """Plain JSON: every printed figure, the checkpoints of Table 3, the audit, the claims, and
    later work (`since`).
    """
    raw = read_published()
    return {
        "table": tidy(raw),
        "checkpoints": list(checkpoints()),
        "audit": [asdict(finding) for finding in findings(raw)],
        "claims": [claim.judge() for claim in CLAIMS.values()],
        "since": _later_work(),
    }


def _later_work() -> list[dict[str, Any]]:
    """One record per later row, with its distance from [W]'s untreated ResNet-50 under either
    mean.
    """
    own = {
        mean: next(row for row in published_rows(mean=mean) if row.model == ROW)
        for mean in ("macro", "micro")
    }
    names = ("source", "model", "labels", "mean", *QUANTITIES)
    return [
        {name: getattr(row, name) for name in names}
        | {"comparable": False, "protocol": protocol}
        | {
            f"{group}_off_{mean}": getattr(row, group) - getattr(printed, group)
            for mean, printed in own.items()
            for group in GROUPS
        }
        for row, protocol in later_work_rows()
    ]


def write_published(folder: Path, document: dict[str, Any]) -> None:
    """published.json, and a CSV file for each of TABLES."""
    output_folder(folder)
    for part in TABLES:
        rows = document[part]
        write_table(folder / f"{part}.csv", rows[0].keys(), (row.values() for row in rows))
    write_json(folder / "published.json", document)

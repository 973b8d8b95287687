"""The paper's tables as one document: figures, checkpoints, audit, claims, later work."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.files import output_folder, write_json, write_table
from experiments.published.audit import findings
from experiments.published.claims import judgements
from experiments.published.later_work import later_work_document
from experiments.published.tables import checkpoints, read_published, tidy

TABLES = ("table", "checkpoints", "audit", "since")  # these parts are also written as CSV


def published_document() -> dict[str, Any]:
    """Plain JSON: every printed figure, the checkpoints of Table 3, the audit, the claims, and later work (`since`)."""
    raw = read_published()
    return {
        "table": tidy(raw),
        "checkpoints": [asdict(checkpoint) for checkpoint in checkpoints()],
        "audit": [asdict(finding) for finding in findings(raw)],
        "claims": [asdict(judged) | {"verdict": judged.verdict} for judged in judgements()],
        "since": later_work_document(),
    }


def write_published(folder: Path, document: dict[str, Any]) -> None:
    """published.json, and a CSV file for each of TABLES."""
    output_folder(folder)
    for part in TABLES:
        rows = document[part]
        write_table(folder / f"{part}.csv", rows[0].keys(), (row.values() for row in rows))
    write_json(folder / "published.json", document)

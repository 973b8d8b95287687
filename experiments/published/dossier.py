"""Everything that is said about the paper's tables, as one document: figures, checkpoints, audit, claims."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.files import output_folder, write_json, write_table
from experiments.published.audit import audit
from experiments.published.claims import judgements
from experiments.published.since import since_document
from experiments.published.tables import checkpoints, read_published, tidy

TABLES = ("table", "checkpoints", "audit", "since")  # parts that are also written as CSV


def dossier() -> dict[str, Any]:
    """Plain JSON: `table` (every printed figure), `checkpoints` (of Table 3), `audit`, `claims`, `since`."""
    raw = read_published()
    return {
        "table": tidy(raw),
        "checkpoints": [asdict(checkpoint) for checkpoint in checkpoints()],
        "audit": [asdict(finding) for finding in audit(raw)],
        "claims": [asdict(judged) | {"verdict": judged.verdict} for judged in judgements()],
        "since": since_document(),
    }


def write_dossier(folder: Path, document: dict[str, Any]) -> None:
    """published.json, and a CSV file for each part that is a table."""
    output_folder(folder)
    for part in TABLES:
        rows = document[part]
        write_table(folder / f"{part}.csv", rows[0].keys(), (row.values() for row in rows))
    write_json(folder / "published.json", document)

"""CounterAnimal figures that others printed after [W], each under a protocol of its own.

They are shown beside [W]'s and never mixed with them: where one checkpoint is in both, the protocols differ by more
than the gains that are reported (the ResNet-50s before any treatment, against [W]'s).
"""

from functools import cache
from typing import Any, NamedTuple

from experiments.published.tables import published_rows, read_published
from experiments.results import Row

SINCE = "since.csv"
ROW = "ImageNet-RN50"  # [W]'s row of the architecture that all of them have


class Since(NamedTuple):
    """A printed row and, in words, how it was measured."""

    row: Row
    protocol: str


@cache
def since() -> tuple[Since, ...]:
    """All of them, in printed order."""
    return tuple(
        Since(
            Row(
                source=cells["source"],
                model=cells["model"],
                family=cells["family"],
                common=float(cells["common"]) / 100,
                counter=float(cells["counter"]) / 100,
                labels=cells["labels"],
                mean=cells["mean"],
            ),
            cells["protocol"],
        )
        for cells in read_published()[SINCE]
    )


def since_document() -> list[dict[str, Any]]:
    """Plain JSON, a record a row, with how far it lies from [W]'s untreated ResNet-50 under either mean."""
    own = {mean: next(row for row in published_rows(mean=mean) if row.model == ROW) for mean in ("macro", "micro")}
    return [
        {
            **{name: getattr(row, name) for name in ("source", "model", "labels", "mean", "common", "counter", "drop")},
            "comparable": False,
            "protocol": protocol,
            **{
                f"{group}_off_{mean}": getattr(row, group) - getattr(printed, group)
                for mean, printed in own.items()
                for group in ("common", "counter")
            },
        }
        for row, protocol in since()
    ]

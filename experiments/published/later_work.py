"""CounterAnimal figures that others printed after [W], each under its own protocol.

They are listed beside [W]'s and enter no line: for a checkpoint in both (the untreated ResNet-50s) the protocols
differ by more than the reported gains.
"""

from functools import cache
from typing import Any, NamedTuple

from experiments.published.tables import published_rows, read_published
from experiments.results import Row

SINCE = "since.csv"
ROW = "ImageNet-RN50"  # [W]'s row of the architecture that they all use


class LaterRow(NamedTuple):
    """A printed row and its protocol in words."""

    row: Row
    protocol: str


@cache
def later_work_rows() -> tuple[LaterRow, ...]:
    """All rows, in printed order."""
    return tuple(
        LaterRow(
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


def later_work_document() -> list[dict[str, Any]]:
    """Plain JSON, one record per row, with its distance from [W]'s untreated ResNet-50 under either mean."""
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
        for row, protocol in later_work_rows()
    ]

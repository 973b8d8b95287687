"""`Row` holds the accuracies of an evaluated model or a published row.

Common photos have the usual background, counter photos do not. Accuracies are fractions; drop =
common - counter, balanced is their mean. Fields that do not apply are None.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

GROUPS = ("common", "counter")
QUANTITIES = (*GROUPS, "drop")
FEWEST = 10  # with fewer classes or objects the bootstrap interval is too narrow
Interval = tuple[float, float]
Mean = Literal["macro", "micro"]  # over classes, over photos


def too_few(classes: int) -> str:
    """Why intervals are over photos, for fewer classes than FEWEST."""
    return (
        f"{'one class is' if classes == 1 else f'{classes} classes are'} too few to resample"
        f" ({FEWEST} are needed)"
    )


@dataclass(frozen=True)
class Row:
    """The accuracies of one model on both groups, with its settings."""

    source: str  # a folder, "[W] Table 3"
    model: str
    family: str  # shares a line in plots: "CLIP", "ImageNet", "LVLM"
    common: float
    counter: float
    prompt: str | None = None  # simple, openai80 or a file of templates
    labels: str | None = None  # label space of a real model: 1000, 20 or 45
    mean: str | None = None  # macro (over classes) or micro (over photos)
    n_common: int | None = None  # photos
    n_counter: int | None = None
    interval_common: Interval | None = None
    interval_counter: Interval | None = None
    interval_drop: Interval | None = None

    def __post_init__(self):
        for name in ("source", "model", "family", "prompt", "labels", "mean"):
            word = getattr(self, name)
            if not isinstance(word, str) and (
                word is not None or name in ("source", "model", "family")
            ):
                raise ValueError(f"{name} = {word!r} is not a text")
        for name in GROUPS:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} = {getattr(self, name)} of {self.model} is not a fraction in [0, 1]"
                )

    @property
    def drop(self) -> float:
        return self.common - self.counter

    def record(self) -> dict[str, Any]:
        """The row as one JSON object with the derived numbers."""
        return {**asdict(self), "balanced": (self.common + self.counter) / 2, "drop": self.drop}

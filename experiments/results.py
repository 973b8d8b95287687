"""One schema for every result: `Row` holds a synthetic learner, a real model or a published number.

Common photos have the usual background, counter photos do not. Accuracies are fractions; drop = common - counter,
balanced is their mean. Fields that do not apply are None.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """The accuracies of one model on both groups, with its settings."""

    source: str  # "evaluate", "simulate", "[W] Table 3", a file
    model: str
    family: str  # shares a line in plots: "CLIP", "ImageNet", "LVLM", "synthetic"
    common: float
    counter: float
    learner: str | None = None  # synthetic rows: linear, infonce, ...
    prompt: str | None = None  # of simulator.prompts; simple, openai80 or a file of templates
    labels: str | None = None  # label space of a real model: 1000, 20 or 45
    mean: str | None = None  # macro (over classes) or micro (over photos)
    n_common: int | None = None  # photos, or test draws
    n_counter: int | None = None
    interval_common: Interval | None = None
    interval_counter: Interval | None = None
    interval_drop: Interval | None = None

    def __post_init__(self):
        for name in ("source", "model", "family", "learner", "prompt", "labels", "mean"):
            word = getattr(self, name)
            if not isinstance(word, str) and (word is not None or name in ("source", "model", "family")):
                raise ValueError(f"{name} = {word!r} is not a text")
        for name in ("common", "counter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} of {self.model} is not a fraction in [0, 1]")

    @property
    def drop(self) -> float:
        return self.common - self.counter

    @property
    def balanced(self) -> float:
        return (self.common + self.counter) / 2

    def record(self) -> dict[str, Any]:
        """The row as one JSON object with the derived numbers."""
        return {**asdict(self), "balanced": self.balanced, "drop": self.drop}


def row_of(record: dict[str, Any]) -> Row:
    """The inverse of `Row.record`; other keys are ignored."""
    known = {field.name for field in fields(Row)} & record.keys()
    values = {name: record[name] for name in known}
    for name in known:
        if name.startswith("interval_") and values[name] is not None:
            low, high = values[name]
            values[name] = (float(low), float(high))
    return Row(**values)

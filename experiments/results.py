"""One schema for every result: a synthetic learner, a real model and a published figure are all a `Row`.

Groups are common (the background is the usual one) and counter (it is not). Accuracies are fractions;
drop = common - counter, balanced = their mean. Fields that do not apply are None.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """Accuracy of one model on the two groups, with what is needed to compare it with another row."""

    source: str  # where the numbers come from: "evaluate", "simulate", "[W] Table 3", a file
    model: str
    family: str  # models that share a line in a plot: "CLIP", "ImageNet", "LVLM", "synthetic"
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
        for name in ("common", "counter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} of {self.model} is no fraction in [0, 1]")

    @property
    def drop(self) -> float:
        return self.common - self.counter

    @property
    def balanced(self) -> float:
        return (self.common + self.counter) / 2

    def record(self) -> dict[str, Any]:
        """The row as one JSON object, the derived numbers included."""
        return {**asdict(self), "balanced": self.balanced, "drop": self.drop}


def row_of(record: dict[str, Any]) -> Row:
    """The inverse of `Row.record`; keys that a Row does not have are left out."""
    known = {field.name for field in fields(Row)} & record.keys()
    values = {name: record[name] for name in known}
    for name in known:
        if name.startswith("interval_") and values[name] is not None:
            low, high = values[name]
            values[name] = (float(low), float(high))
    return Row(**values)

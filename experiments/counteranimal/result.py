"""What is compared: a row, and what is known behind it."""

from dataclasses import dataclass

from experiments.counteranimal.metrics import ClassCounts
from experiments.counteranimal.object_effects import Objects
from experiments.results import Row


@dataclass(frozen=True)
class Result:
    """A row and, where they are known, its answers per class and, of composites, per object.

    A row of another protocol is not `comparable`: it is shown, and enters no line and no ranking.
    """

    row: Row
    classes: ClassCounts | None = None
    objects: Objects | None = None
    comparable: bool = True
    protocol: str = ""  # in words, of a row that is not comparable
    vocabulary: str = "imagenet"  # what class indices mean; of classes of one's own the digest of their file

"""A result that can be compared with others."""

from dataclasses import dataclass

from experiments.counteranimal.metrics import ClassCounts
from experiments.counteranimal.object_effects import Objects
from experiments.results import Row


@dataclass(frozen=True)
class Result:
    """A row and, if known, its answers per class and, for composites, per object.

    A row of another protocol is not `comparable`: it is shown, and belongs to no line.
    """

    row: Row
    classes: ClassCounts | None = None
    objects: Objects | None = None
    comparable: bool = True
    protocol: str = ""  # in words, for a row that is not comparable
    vocabulary: str = "imagenet"  # meaning of class indices; for the user's own classes a digest of their names

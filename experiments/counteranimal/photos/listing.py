"""What a layout holds before anybody has said what its groups and classes mean."""

from dataclasses import dataclass, field

from experiments.counteranimal.photos.tree import Files


@dataclass(frozen=True)
class Entry:
    """One photo as its layout names it."""

    path: str
    class_name: str
    place: str  # what lies between class and photo: a group and background, or a background; "" for nothing
    group: str = ""  # where the layout says it by itself
    object: str = ""


@dataclass(frozen=True)
class Listing:
    """All photos of a layout; `places` also holds folders that are empty."""

    entries: list[Entry]
    files: Files
    places: set[tuple[str, str]] = field(default_factory=set)  # class, place
    strays: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Enter a photo, and the place where it lies."""
        self.entries.append(entry)
        self.places.add((entry.class_name, entry.place))

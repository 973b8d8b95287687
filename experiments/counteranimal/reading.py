"""A photo set from any layout: classes get their indices, and backgrounds their groups."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from experiments.counteranimal.class_names import ClassIndex, ImageNetClasses, OwnClasses
from experiments.counteranimal.labels import Vocabulary
from experiments.counteranimal.layouts import list_photos
from experiments.counteranimal.photos import GROUPS, Entry, Listing, Photo, PhotoSet, check_group, printable
from experiments.errors import RequestError
from experiments.files import read_table
from simulator.naming import suggestion

PREFIX, EACH = "prefix", "each"
# Entry -> (group, background), None for an entry of neither group.
GroupRule = Callable[[Entry], tuple[str, str] | None]


def read_photos(root: Path, groups: str = PREFIX, vocabulary: Vocabulary | None = None) -> PhotoSet:
    """All photos of a data set, with classes, groups and backgrounds."""
    rule, listing = group_rule(groups), list_photos(root)
    own = vocabulary is not None and not vocabulary.imagenet
    classes = OwnClasses(vocabulary) if own else ImageNetClasses(root)
    grouped = [(entry, rule(entry)) for entry in listing.entries]
    places = {place: rule(Entry("", *place)) for place in listing.places}
    used = {place for place, found in places.items() if found}
    used |= {(entry.class_name, entry.place) for entry, found in grouped if found}
    if not used:
        raise RequestError(_without_groups(root, listing, groups))
    index = _indices(sorted({class_name for class_name, _ in used}), classes)
    photos = [
        Photo(entry.path, index[entry.class_name], *found, object=entry.object) for entry, found in grouped if found
    ]
    for photo in photos:
        if printable(photo.path) != photo.path:
            raise RequestError(
                f"the name of {printable(photo.path)!r} is not UTF-8, so no table could hold it; rename it first"
            )
    photos.sort(key=lambda photo: photo.path)
    left_out = [entry for entry, found in grouped if not found]
    strays = {printable(stray) for stray in (*listing.strays, *_strays(listing, left_out, used))}
    by_index = {number: name for name, number in index.items()}
    return PhotoSet(root, tuple(photos), by_index, tuple(sorted(strays)), listing.source, own)


def group_rule(choice: str) -> GroupRule:
    """The rule of `--groups`: prefix, each, or a CSV file with columns background, group and perhaps class.

    Raises RequestError for an unknown word and for an inconsistent table.
    """
    if choice == PREFIX:
        return _by_prefix
    if choice == EACH:
        return lambda entry: ("", entry.place)
    path = Path(choice)
    if not path.is_file():
        raise RequestError(
            f"--groups {choice!r} is neither {PREFIX}, {EACH} nor a file{suggestion(choice, (PREFIX, EACH))}"
        )
    return _by_table(path)


def _by_prefix(entry: Entry) -> tuple[str, str] | None:
    """The group that an entry states, otherwise the word before the first "-" of its place."""
    if entry.group:
        return entry.group, entry.place
    group, _, background = entry.place.partition("-")
    return (group.lower(), background) if group.lower() in GROUPS else None


def _by_table(path: Path) -> GroupRule:
    """A CSV file with the group of each background, for one class, or for all if the class is empty or missing."""
    groups: dict[tuple[str, str], str] = {}
    for line, row in enumerate(read_table(path, ("background", "group"), "groups"), start=2):
        key = row.get("class") or "", row["background"]
        check_group(row["group"], f"line {line} of {str(path)!r}")
        if groups.setdefault(key, row["group"]) != row["group"]:
            raise RequestError(f"background {key[1]!r} is common and counter in {str(path)!r} (line {line}); keep one")

    def group_of(entry: Entry) -> tuple[str, str] | None:
        group = groups.get((entry.class_name, entry.place)) or groups.get(("", entry.place))
        return None if group is None else (group, entry.place)

    return group_of


def _indices(names: list[str], classes: ClassIndex) -> dict[str, int]:
    """Class name -> index, each index once."""
    found: dict[int, str] = {}
    for name in names:
        index = classes.index(name)
        if index in found:
            raise RequestError(f"class {index} is given twice, by {found[index]!r} and {name!r}; keep one of them")
        found[index] = name
    return {name: index for index, name in found.items()}


def _strays(listing: Listing, left_out: list[Entry], used: set[tuple[str, str]]) -> list[str]:
    """Classes without a group, places without one in other classes, and photos without one in other places."""
    inside = {class_name for class_name, _ in used}
    classes = {class_name for class_name, _ in listing.places} - inside
    places = [f"{c}/{place}" for c, place in listing.places - used if place]
    photos = [
        entry.path
        for entry in left_out
        if entry.class_name in inside and (not entry.place or (entry.class_name, entry.place) in used)
    ]
    return [*classes, *places, *photos]


def _without_groups(root: Path, listing: Listing, groups: str) -> str:
    """What the layout holds instead of groups, and which option fits it."""
    places = Counter(place for _, place in listing.places)
    if not listing.entries and root.is_dir():
        inside = (p for p in sorted(root.iterdir()) if p.is_dir())
        deeper = next((p for p in inside if any(q.is_dir() for q in p.iterdir())), None)
        hint = f"; try {str(deeper)!r}" if deeper else ""
        return f"{str(root)!r} has no photos two levels below it{hint}"
    classes = len({c for c, _ in listing.places})
    backgrounds = sorted(place for place in places if place)
    few = ", ".join(map(repr, backgrounds[:3])) + (", ..." if len(backgrounds) > 3 else "")
    if groups not in (PREFIX, EACH):
        return f"none of the {len(backgrounds)} backgrounds of {str(root)!r} ({few}) is in {groups!r}"
    if not backgrounds:
        return (
            f"{str(root)!r} holds {classes} classes of photos without a background between; --groups {EACH} scores "
            "them without groups"
        )
    return (
        f"{str(root)!r} holds {classes} classes with backgrounds that begin with neither common- nor counter- ({few}); "
        f"--groups FILE.csv (columns background, group) assigns them, --groups {EACH} takes each by itself"
    )

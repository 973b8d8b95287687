"""Any layout -> Tree: what it holds is listed, its classes get their indices and its backgrounds their groups."""

from collections import Counter
from pathlib import Path

from experiments.counteranimal.labels import Vocabulary
from experiments.counteranimal.photos.folders import list_folders
from experiments.counteranimal.photos.groups import EACH, PREFIX, GroupOf, group_rule
from experiments.counteranimal.photos.listing import Entry, Listing
from experiments.counteranimal.photos.names import Classes, ImageNetClasses, OwnClasses
from experiments.counteranimal.photos.saved import SPLITS, STATE, list_saved
from experiments.counteranimal.photos.shards import list_shards
from experiments.counteranimal.photos.tables import list_table
from experiments.counteranimal.photos.tree import Photo, Tree, shown
from experiments.errors import RequestError
from simulator.naming import suggestion


def read_tree(root: Path, groups: str = PREFIX, vocabulary: Vocabulary | None = None) -> Tree:
    """All photos of a data set, with classes, groups and backgrounds."""
    rule, listing = group_rule(groups), _listed(root)
    imagenet = vocabulary is None or vocabulary.imagenet
    classes = ImageNetClasses(root) if imagenet else OwnClasses(vocabulary)
    return _tree(root, listing, classes, rule, groups, own=not imagenet)


def _listed(root: Path) -> Listing:
    if root.is_file():
        if root.suffix == ".tar":
            return list_shards(root)
        if root.suffix == ".csv":
            return list_table(root)
        raise RequestError(f"{str(root)!r} is neither a folder, a CSV file (.csv) nor a tar file (.tar)")
    if not root.is_dir():
        known = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
        raise RequestError(f"there is no folder {str(root)!r}{suggestion(root.name, known, quoted=True)}")
    if (root / STATE).exists() or (root / SPLITS).exists():
        return list_saved(root)
    shards = sorted(root.glob("*.tar"))
    if shards and any(path.is_dir() for path in root.iterdir()):
        raise RequestError(f"{str(root)!r} holds folders and tar files; name {str(shards[0])!r}, or move them apart")
    return list_shards(root) if shards else list_folders(root)


def _tree(root: Path, listing: Listing, classes: Classes, rule: GroupOf, groups: str, own: bool) -> Tree:
    probes = {place: rule(Entry("", *place)) for place in listing.places}
    placed = [(entry, rule(entry)) for entry in listing.entries]
    inside = {c for (c, _), found in probes.items() if found} | {entry.class_name for entry, found in placed if found}
    if not inside:
        raise RequestError(_without_groups(root, listing, groups))
    names = sorted({c for c, _ in listing.places} & inside)
    index = _indices(names, classes)
    photos = [
        Photo(entry.path, index[entry.class_name], *found, object=entry.object) for entry, found in placed if found
    ]
    for photo in photos:
        if shown(photo.path) != photo.path:
            raise RequestError(
                f"the name of {shown(photo.path)!r} is not UTF-8, so no table could hold it; rename it first"
            )
    photos.sort(key=lambda photo: photo.path)
    return Tree(
        root,
        tuple(photos),
        {index[name]: name for name in names},
        tuple(sorted({shown(stray) for stray in (*listing.strays, *_strays(listing, placed, probes, inside))})),
        listing.files,
        own,
    )


def _indices(names: list[str], classes: Classes) -> dict[str, int]:
    """Class -> index, each index once."""
    found: dict[int, str] = {}
    for name in names:
        index = classes.index(name)
        if index in found:
            raise RequestError(f"class {index} is given twice, by {found[index]!r} and {name!r}; keep one of them")
        found[index] = name
    return {name: index for index, name in found.items()}


def _strays(listing: Listing, placed: list, probes: dict, inside: set[str]) -> list[str]:
    """What has no group: whole classes, places within a class, and photos that lie in no place."""
    outside = {c for c, _ in listing.places} - inside
    used = {(entry.class_name, entry.place) for entry, found in placed if found}
    unused = [place for place, found in probes.items() if not found and place not in used]
    loose = [
        entry.path
        for entry, found in placed
        if not found
        and entry.class_name not in outside
        and (not entry.place or (entry.class_name, entry.place) in used)
    ]
    return [*outside, *(f"{c}/{place}" for c, place in unused if place), *loose]


def _without_groups(root: Path, listing: Listing, groups: str) -> str:
    """What was found instead of groups, and what fits it best."""
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
        f"--groups FILE.csv (columns background, group) says which are which, --groups {EACH} takes each by itself"
    )

"""The plan of a composition: every object on every photo, with classes and groups, before anything is decoded.

    objects/9 ostrich/runner.png       class folder, PNG with transparency
    backgrounds/desert/dune.jpg        background, photo; a photo beside the folders is its own background

The user names the common backgrounds of each class; the others are counter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from experiments.counteranimal.class_names import class_indices, imagenet_index, indexed
from experiments.counteranimal.layouts import SUFFIXES
from experiments.counteranimal.photos import printable
from experiments.errors import RequestError, checked_seed, unknown
from simulator.naming import suggestion

SIDES = (32, 1024)  # pixels
MOST_BYTES = 2**31  # of images in memory together; at 224 pixels 10,000 photos
CUTOUTS = (".png",)


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A request: these objects on these backgrounds, `common` as CLASS=BACKGROUND or files of such lines."""

    objects: Path
    backgrounds: Path
    common: Sequence[str]
    size: int = 224
    seed: int = 0
    output: Path


@dataclass(frozen=True)
class Source:
    """A cut-out or a photo: its path, its name below the root, its class folder or background."""

    path: Path
    name: str
    kind: str


@dataclass(frozen=True)
class Plan:
    """The full factorial of cut-outs and photos."""

    cutouts: tuple[Source, ...]
    photos: tuple[Source, ...]
    classes: dict[str, int]  # class folder -> ImageNet-1k index
    common: dict[str, frozenset[str]]  # class folder -> backgrounds
    strays: tuple[str, ...]

    def group(self, cutout: Source, photo: Source) -> str:
        return "common" if photo.kind in self.common[cutout.kind] else "counter"

    def file(self, cutout: Source, photo: Source) -> str:
        """The path of the composite below the output folder."""
        folder = indexed(cutout.kind, self.classes[cutout.kind])
        background = f"{self.group(cutout, photo)}-{photo.kind}"
        return f"{folder}/{background}/{Path(cutout.name).stem} on {Path(photo.name).stem}.png"


def plan(request: Composition) -> Plan:
    """The plan of a request.

    Raises RequestError for a seed or a size outside its domain, folders of another layout, too many images for memory,
    fewer than two backgrounds, a class without a common or a counter background, and composites with the same name.
    """
    checked_seed(request.seed)
    low, high = SIDES
    if not low <= request.size <= high:
        near = min(max(request.size, low), high)
        raise RequestError(
            f"--size {request.size} lies outside {low}..{high} pixels; the nearest valid value is {near}"
        )
    cutouts, other_files = _sources(request.objects, "--objects", CUTOUTS, request.output)
    photos, more_files = _sources(request.backgrounds, "--backgrounds", SUFFIXES, request.output)
    _check_memory(len(cutouts), len(photos), request.size)
    classes = _classes(cutouts, request.objects)
    backgrounds = list(dict.fromkeys(photo.kind for photo in photos))
    if len(backgrounds) < 2:
        raise RequestError(
            f"{str(request.backgrounds)!r} holds one background, {backgrounds[0]!r}; two are needed, a common and a "
            "counter one"
        )
    common = _common(request.common, request.objects, classes, backgrounds)
    planned = Plan(cutouts, photos, classes, common, (*other_files, *more_files))
    _check_distinct_names(planned)
    return planned


def _sources(
    root: Path, flag: str, suffixes: Sequence[str], output: Path
) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """(images of a folder and of the folders in it, names of other files), sorted."""
    if not root.is_dir():
        known = [path.name for path in root.parent.iterdir() if path.is_dir()] if root.parent.is_dir() else []
        raise RequestError(f"there is no folder {str(root)!r} for {flag}{suggestion(root.name, known, quoted=True)}")
    if output.resolve().is_relative_to(root.resolve()):
        raise RequestError(f"--output {str(output)!r} lies in {flag}, whose files are read; name a folder outside it")
    found: list[Source] = []
    strays: list[str] = []
    for entry in sorted(root.iterdir()):
        folder = entry.is_dir() and not entry.name.startswith(".")
        files = sorted(entry.iterdir()) if folder else [entry]
        sound = [f for f in files if f.suffix.lower() in suffixes and f.name[0] != "." and not f.is_dir()]
        if folder and not sound:
            raise RequestError(
                f"the folder {entry.name!r} of {flag} holds no file that ends in {', '.join(suffixes)}; "
                "put one there or remove it"
            )
        kind = entry.name if folder else entry.stem
        found += [Source(file, file.relative_to(root).as_posix(), kind) for file in sound]
        strays += [printable(file.relative_to(root).as_posix()) for file in files if file not in sound]
    if not found:
        raise RequestError(f"{str(root)!r} holds no file that ends in {', '.join(suffixes)}, and no folder with one")
    for source in found:
        if printable(source.name) != source.name:
            raise RequestError(
                f"the name of {printable(source.name)!r} is not UTF-8, so no table could hold it; rename it first"
            )
    return tuple(found), tuple(strays)


def _check_memory(cutouts: int, photos: int, size: int) -> None:
    need = 2 * size**2 * (2 * photos + cutouts)  # Pillow has 4 bytes per pixel, and a box fills half a frame at most
    if need > MOST_BYTES:
        raise RequestError(
            f"{cutouts} cut-outs and {photos} photos at --size {size} take {need / 2**30:.1f} GiB, more than "
            f"{MOST_BYTES / 2**30:.0f}; take fewer of them or a smaller --size"
        )


def _classes(cutouts: Sequence[Source], root: Path) -> dict[str, int]:
    """Class folder -> index of its class."""
    loose = next((cutout.name for cutout in cutouts if "/" not in cutout.name), None)
    if loose is not None:
        raise RequestError(f"the cut-out {loose!r} lies in no class folder; move it to one, as '9 ostrich/{loose}'")
    return class_indices(dict.fromkeys(cutout.kind for cutout in cutouts), root)


def _common(
    words: Sequence[str], root: Path, classes: dict[str, int], backgrounds: Sequence[str]
) -> dict[str, frozenset[str]]:
    """Common backgrounds of every class folder, from CLASS=BACKGROUND words and files of them."""
    found: dict[str, set[str]] = {folder: set() for folder in classes}
    by_index = {index: folder for folder, index in classes.items()}
    for line in [line for word in words for line in ([word] if "=" in word else _lines(word))]:
        name, _, background = (part.strip() for part in line.partition("="))
        if not (name and background):
            example = f"{next(iter(classes))}={backgrounds[0]}"
            raise RequestError(f"--common {line!r} is not of the form CLASS=BACKGROUND, as {example!r} is")
        folder = name if name in classes else by_index.get(imagenet_index(name, root))
        if folder is None:
            raise RequestError(f"--common {line!r} names a class that has no cut-outs")
        if background not in backgrounds:
            raise unknown("background", background, backgrounds)
        found[folder].add(background)
    for folder, own in found.items():
        if not own:
            raise RequestError(
                f"class {folder!r} has no common background; pass --common '{folder}=BACKGROUND' with one of "
                f"{', '.join(backgrounds)}"
            )
        if len(own) == len(backgrounds):
            raise RequestError(f"class {folder!r} has no counter background, since all are common; leave one out")
    return {folder: frozenset(own) for folder, own in found.items()}


def _lines(file: str) -> list[str]:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RequestError(
            f"--common {file!r} is neither CLASS=BACKGROUND nor a file of such lines ({reason})"
        ) from error
    return [line for line in text.splitlines() if line.strip()]


def _check_distinct_names(planned: Plan) -> None:
    """Refuse names that differ only by their ending, by case or by the place of " on ": they would be one file."""
    taken: dict[str, tuple[Source, Source]] = {}
    for pair in product(planned.cutouts, planned.photos):
        file = planned.file(*pair)
        first = taken.setdefault(file.casefold(), pair)
        if first != pair:
            one, other = (f"{cutout.name!r} on {photo.name!r}" for cutout, photo in (first, pair))
            raise RequestError(f"{one} and {other} would both be {file!r}; rename one of these files")

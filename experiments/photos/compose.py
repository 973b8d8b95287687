"""Counterfactual photos: every object on every background, as a tree in CounterAnimal's layout.

    objects/9 ostrich/runner.png       class folder, PNG with transparency
    backgrounds/desert/dune.jpg        background, photo; a photo beside the folders is its own
                                       background
    output/9 ostrich/common-desert/runner on dune.png
    output/composites.csv              a row per file: object, background, photo, group, scale and
                                       place
    output/compose.json                the request

The user names the common backgrounds of each class; the others are counter. An object has the same
scale and place on every background, so its composites differ by the background alone.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from experiments.errors import RequestError, RunError, check_within, checked_seed, unknown
from experiments.files import check_writable, output_folder, staging_folder, write_json, write_table
from experiments.photos.labels import class_indices, imagenet_index
from experiments.photos.photos import (
    MANIFEST,
    REQUEST,
    SUFFIXES,
    check_folder,
    checked_path,
    in_threads,
    printable,
)
from experiments.provenance import provenance
from experiments.results import GROUPS
from simulator.pixels.composition import composite, cut, drawn_place, frame
from simulator.pixels.decoding import decode
from simulator.progress import track
from simulator.streams import numpy_stream

SIDES = (32, 1024)  # pixels
MOST_BYTES = 2**31  # of images in memory at once; 10,000 photos at 224 pixels
# 4 ms per composite of 224 pixels on one core, a third of the default level's time, for 9 % more
# bytes.
PNG = {"format": "PNG", "compress_level": 1}
COLUMNS = (
    "file",
    "class_index",
    "class",
    "object",
    "background",
    "photo",
    "group",
    "scale",
    "x",
    "y",
)


class Source(NamedTuple):
    path: Path
    name: str  # below the root
    kind: str  # class folder or background


Composite = tuple[str, Source, Source, str]  # file below the output folder, cut-out, photo, group


def run(
    *,
    objects: Path,
    backgrounds: Path,
    common: Sequence[str],
    size: int = 224,
    seed: int = 0,
    output: Path,
) -> dict[str, Any]:
    """Write the tree, as a whole, to a folder that is new or empty; `common` holds words
    CLASS=BACKGROUND.

    Raises RequestError for a wrong request, before anything is written.
    """
    checked_seed(seed)
    check_within("--size", size, *SIDES)
    cutouts, other_files = _sources(objects, "--objects", (".png",), output)
    scenes, more_files = _sources(backgrounds, "--backgrounds", SUFFIXES, output)
    loose = next((cutout.name for cutout in cutouts if "/" not in cutout.name), None)
    if loose is not None:
        raise RequestError(
            f"the cut-out {loose!r} lies in no class folder; move it to one, like '9"
            f" ostrich/{loose}'"
        )
    classes = class_indices(dict.fromkeys(cutout.kind for cutout in cutouts))
    counts = Counter(scene.kind for scene in scenes)
    if len(counts) < 2:
        raise RequestError(
            f"{str(backgrounds)!r} holds one background, {scenes[0].kind!r}; at least two are"
            " needed"
        )
    own = _common(common, classes, list(counts))
    composites = _composites(cutouts, scenes, classes, own)
    # Pillow uses 4 bytes per pixel; a cut-out fills at most half a frame.
    need = 2 * size**2 * (2 * len(scenes) + len(cutouts))
    if need > MOST_BYTES:
        much = (
            f"{need / 2**30:.1f} GiB, more than {MOST_BYTES / 2**30:.0f}; take fewer of them or a"
            " smaller --size"
        )
        raise RequestError(
            f"{len(cutouts)} cut-outs and {len(scenes)} photos at --size {size} take {much}"
        )
    check_writable(output)
    if output.exists() and (other := min((path.name for path in output.iterdir()), default=None)):
        wrong = f"output {str(output)!r} holds other files, for instance {other!r}"
        raise RequestError(f"{wrong}; try {str(output / 'composites')!r}")
    places = {c: drawn_place(numpy_stream(seed, f"place of {c.name}")) for c in cutouts}

    def prepared(source: Source) -> Any:
        try:
            if source in places:
                return cut(decode(source.path, "RGBA", still=True), places[source], size)
            return frame(decode(source.path, still=True), size)
        except ValueError as error:
            raise RequestError(f"{source.name!r} cannot be used ({error})") from error

    sources = [*cutouts, *scenes]
    images = dict(
        zip(sources, track(in_threads(prepared, sources), len(sources), "decoding"), strict=True)
    )
    records = []
    cut_out = Counter(cutout.kind for cutout in cutouts)
    for folder, index in classes.items():
        groups = {
            g: {b: n for b, n in counts.items() if (b in own[folder]) == (g == "common")}
            for g in GROUPS
        }
        records.append(
            {"class_index": index, "folder": folder, "objects": cut_out[folder], **groups}
        )
    document = {
        "verb": "compose",
        "settings": {
            "size": size,
            "seed": seed,
            "common": {folder: sorted(names) for folder, names in own.items()},
        },
        "objects": str(objects),
        "backgrounds": str(backgrounds),
        "classes": records,
        "composites": len(composites),
        "strays": other_files + more_files,
        "provenance": provenance(),
    }
    rows = []
    for file, cutout, scene, group in composites:
        names = classes[cutout.kind], cutout.kind, cutout.name, scene.kind, scene.name
        rows.append((file, *names, group, f"{places[cutout].scale:.6g}", *images[cutout][1]))
    staging = staging_folder(output)

    def save(job: Composite) -> None:
        file, cutout, scene, _ = job
        composite(*images[cutout], images[scene]).save(staging / file, **PNG)

    try:
        for folder in dict.fromkeys((staging / file).parent for file, *_ in composites):
            output_folder(folder)
        for _ in track(in_threads(save, composites), len(composites), "composing"):
            pass
        write_table(staging / MANIFEST, COLUMNS, rows)
        write_json(staging / REQUEST, document)
        staging.replace(output)
    except OSError as error:
        raise RunError(f"{output} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return {**document, "output": str(output)}


def _composites(
    cutouts: Sequence[Source],
    scenes: Sequence[Source],
    classes: dict[str, int],
    common: dict[str, set[str]],
) -> list[Composite]:
    """Every object on every photo. File names lose suffix, case and the place of " on ", so two
    pairs may share one.
    """
    composites: dict[str, Composite] = {}
    for cutout, scene in product(cutouts, scenes):
        group = "common" if scene.kind in common[cutout.kind] else "counter"
        index = classes[cutout.kind]
        folder = (
            cutout.kind if cutout.kind.split(" ")[0] == str(index) else f"{index} {cutout.kind}"
        )
        file = (
            f"{folder}/{group}-{scene.kind}/{Path(cutout.name).stem} on {Path(scene.name).stem}.png"
        )
        _, first, below, _ = composites.setdefault(file.casefold(), (file, cutout, scene, group))
        if (first, below) != (cutout, scene):
            both = (
                f"{first.name!r} on {below.name!r} and {cutout.name!r} on {scene.name!r} would both"
                f" be {file!r}"
            )
            raise RequestError(f"{both}; rename one of these files")
    return list(composites.values())


def _sources(
    root: Path, flag: str, suffixes: Sequence[str], output: Path
) -> tuple[list[Source], list[str]]:
    """(images of a folder and of the folders in it, names of other files), sorted."""
    check_folder(root)
    if output.resolve().is_relative_to(root.resolve()):
        raise RequestError(
            f"--output {str(output)!r} lies in the input folder {flag}; name a folder outside it"
        )
    sources = list[Source]()
    strays = list[str]()
    for entry in sorted(root.iterdir()):
        folder = entry.is_dir() and not entry.name.startswith(".")
        before = len(sources)
        for file in sorted(entry.iterdir()) if folder else [entry]:
            name = file.relative_to(root).as_posix()
            if file.suffix.lower() not in suffixes or file.name.startswith(".") or file.is_dir():
                strays.append(printable(name))
            else:
                sources.append(
                    Source(file, checked_path(name), entry.name if folder else entry.stem)
                )
        if folder and len(sources) == before:
            raise RequestError(
                f"the folder {entry.name!r} of {flag} holds no file that ends in"
                f" {', '.join(suffixes)}"
            )
    if not sources:
        raise RequestError(
            f"{str(root)!r} holds no file that ends in {', '.join(suffixes)}, and no folder"
            " with one"
        )
    return sources, strays


def _common(
    words: Sequence[str], classes: dict[str, int], backgrounds: Sequence[str]
) -> dict[str, set[str]]:
    """Common backgrounds of every class folder."""
    common: dict[str, set[str]] = {folder: set() for folder in classes}
    by_index = {index: folder for folder, index in classes.items()}
    for line in words:
        name, _, background = (part.strip() for part in line.partition("="))
        if not (name and background):
            example = f"{next(iter(classes))}={backgrounds[0]}"
            raise RequestError(
                f"--common {line!r} is not of the form CLASS=BACKGROUND, for instance {example!r}"
            )
        folder = name if name in classes else by_index.get(imagenet_index(name))
        if folder is None:
            raise RequestError(f"--common {line!r} names a class that has no cut-outs")
        if background not in backgrounds:
            raise unknown("background", background, backgrounds)
        common[folder].add(background)
    for folder, own in common.items():
        if not own or len(own) == len(backgrounds):
            lacks = f"class {folder!r} has no {'counter' if own else 'common'} background"
            some = f"for some but not all of {', '.join(backgrounds)}"
            raise RequestError(f"{lacks}; give --common '{folder}=BACKGROUND' {some}")
    return common

"""Counterfactual photos: every object on every background, as a tree in CounterAnimal's layout.

    output/9 ostrich/common-desert/runner on dune.png
    output/composites.csv              a row per file: object, background, photo, group, scale and place; written last
    output/compose.json                the request; written first, so that a stopped run can be resumed

An object has the same scale and place on every background, so its composites differ by the background alone.
`factorial` plans the pairs, `simulator.pixels.composition` draws them.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from experiments.counteranimal.factorial import Composition, Plan, Source, plan
from experiments.counteranimal.layouts import MANIFEST, REQUEST
from experiments.errors import RequestError
from experiments.files import output_folder, read_json, write_atomically, write_json, write_table
from experiments.progress import counting
from experiments.provenance import provenance
from simulator.pixels.composition import Cutout, Place, composite, cut, drawn_place, frame
from simulator.pixels.decoding import decode
from simulator.streams import numpy_stream

T = TypeVar("T")
# 4 ms per composite of 224 pixels on one core, a third of the default level's time, for 9 % more bytes.
PNG = {"format": "PNG", "compress_level": 1}
COLUMNS = ("file", "class_index", "class", "object", "background", "photo", "group", "scale", "x", "y")


def run(request: Composition) -> dict[str, Any]:
    """Write the missing files of the tree and return the document of `compose`.

    Raises RequestError for a wrong request, before anything is written, and RunError if the file system fails; files
    that are written stay.
    """
    planned = plan(request)
    places = {c.name: drawn_place(numpy_stream(request.seed, f"place of {c.name}")) for c in planned.cutouts}
    with counting("decoding", len(planned.cutouts) + len(planned.photos), "images/s") as advance:

        def object_of(source: Source) -> Cutout:
            return cut(decode(source.path, "RGBA", still=True), places[source.name], request.size)

        cutouts = _prepared(planned.cutouts, "cut-outs", object_of, advance)
        photos = _prepared(planned.photos, "photos", lambda s: frame(decode(s.path, still=True), request.size), advance)
    document = _document(request, planned)
    _claim(request.output, document)
    written = _write(request.output, planned, cutouts, photos)
    _write_manifest(request.output / MANIFEST, planned, places, cutouts)
    return {**document, "output": str(request.output), "written": written, "kept": document["composites"] - written}


def _prepared(
    sources: Sequence[Source], what: str, prepare: Callable[[Source], T], advance: Callable[[int], None]
) -> list[T]:
    """The prepared sources. Raises RequestError with the number of those that cannot be used."""

    def attempt(source: Source) -> T | ValueError:
        try:
            return prepare(source)
        except ValueError as error:
            return error

    ready = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the interpreter lock
        for made in pool.map(attempt, sources):
            advance(1)
            ready.append(made)
    bad = [(source.name, made) for source, made in zip(sources, ready, strict=True) if isinstance(made, ValueError)]
    if bad:
        name, reason = bad[0]
        raise RequestError(f"{len(bad)} of {len(sources)} {what} cannot be used, the first is {name!r} ({reason})")
    return ready


def _document(request: Composition, planned: Plan) -> dict[str, Any]:
    """The content of compose.json: the settings, which determine every name and pixel, and counts."""
    from PIL import __version__ as pillow  # an optional extra

    contents = sha256()
    for source in (*planned.cutouts, *planned.photos):
        contents.update(f"{source.name}\n{sha256(source.path.read_bytes()).hexdigest()}\n".encode())
    objects = Counter(cutout.kind for cutout in planned.cutouts)
    photos = Counter(photo.kind for photo in planned.photos)
    return {
        "verb": "compose",
        "settings": {
            "size": request.size,
            "seed": request.seed,
            "pillow": pillow,
            "common": {folder: sorted(own) for folder, own in planned.common.items()},
            "contents": contents.hexdigest(),
        },
        "objects": str(request.objects),
        "backgrounds": str(request.backgrounds),
        "classes": [
            {
                "class_index": index,
                "folder": folder,
                "objects": objects[folder],
                "common": {b: n for b, n in photos.items() if b in planned.common[folder]},
                "counter": {b: n for b, n in photos.items() if b not in planned.common[folder]},
            }
            for folder, index in planned.classes.items()
        ],
        "composites": len(planned.cutouts) * len(planned.photos),
        "strays": list(planned.strays),
        "provenance": provenance(),
    }


def _claim(output: Path, document: dict[str, Any]) -> None:
    """Mark an empty folder as this request's, or check its mark. Raises RequestError for any other folder."""
    output_folder(output)
    mark = read_json(output / REQUEST)
    kept = mark.get("settings") if isinstance(mark, dict) and mark.get("verb") == "compose" else None
    if not isinstance(kept, dict):
        other = min((path.name for path in output.iterdir()), default=None)
        if other is not None:
            raise RequestError(
                f"output {str(output)!r} holds other things, {other!r} for one; try {str(output / 'composites')!r}"
            )
        write_json(output / REQUEST, document)
        return
    for name, setting in document["settings"].items():
        if kept.get(name) != setting:
            short = isinstance(setting, int | str) and name != "contents"
            difference = f"{name} = {kept.get(name)!r}, not {setting!r}" if short else f"other {name}"
            raise RequestError(f"output {str(output)!r} holds composites with {difference}; name another folder")


def _write(output: Path, planned: Plan, cutouts: Sequence[Cutout], photos: Sequence[Any]) -> int:
    """Write every missing composite; returns their number."""
    jobs = (
        (output / planned.file(cutout, photo), ready, behind)
        for cutout, ready in zip(planned.cutouts, cutouts, strict=True)
        for photo, behind in zip(planned.photos, photos, strict=True)
    )

    def save(job: tuple[Path, Cutout, Any]) -> int:
        file, ready, behind = job
        if file.exists():
            return 0
        write_atomically(file, lambda temporary: composite(ready, behind).save(temporary, **PNG))
        return 1

    for folder in dict.fromkeys(Path(planned.file(c, p)).parent for c in planned.cutouts for p in planned.photos):
        output_folder(output / folder)
    written, threads = 0, os.cpu_count() or 1
    with (
        counting("composing", len(cutouts) * len(photos), "images/s") as advance,
        ThreadPoolExecutor(threads) as pool,  # Pillow encodes outside the interpreter lock
    ):
        while chunk := list(islice(jobs, 16 * threads)):  # chunks, so that Ctrl-C waits for few
            written += sum(pool.map(save, chunk))
            advance(len(chunk))
    return written


def _write_manifest(file: Path, planned: Plan, places: dict[str, Place], cutouts: Sequence[Cutout]) -> None:
    rows = (
        (
            planned.file(cutout, photo),
            planned.classes[cutout.kind],
            cutout.kind,
            cutout.name,
            photo.kind,
            photo.name,
            planned.group(cutout, photo),
            f"{places[cutout.name].scale:.6g}",
            ready.x,
            ready.y,
        )
        for cutout, ready in zip(planned.cutouts, cutouts, strict=True)
        for photo in planned.photos
    )
    write_table(file, COLUMNS, rows)

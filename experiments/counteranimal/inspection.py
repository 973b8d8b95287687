"""What a data set holds: counts, backgrounds, unreadable photos, strays. No model is needed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.counteranimal.labels import Vocabulary
from experiments.counteranimal.photos import GROUPS, PREFIX, PhotoSet, read_photos, unreadable
from experiments.files import output_folder, write_json
from experiments.progress import counting
from experiments.published.tables import published_classes


def inspect(
    root: Path, output: Path | None = None, groups: str = PREFIX, vocabulary: Vocabulary | None = None
) -> dict[str, Any]:
    """Decode every photo at `root` and return what it holds; also written to output/inspection.json."""
    photo_set = read_photos(root, groups, vocabulary)
    with counting("decoding", len(photo_set.photos), "photos/s") as advance:
        document = inspection_document(photo_set, unreadable(photo_set, advance))
    if output is not None:
        write_json(output_folder(output) / "inspection.json", document)
    return document


def inspection_document(photo_set: PhotoSet, bad: dict[str, str]) -> dict[str, Any]:
    """Counts of the readable photos, beside those that the paper prints."""
    good = replace(photo_set, photos=tuple(p for p in photo_set.photos if p.path not in bad))
    published = {c.index: c.photos for c in published_classes()}
    known = photo_set.grouped and not photo_set.own and set(photo_set.classes) <= set(published)
    groups = GROUPS if photo_set.grouped else ()
    classes: list[dict[str, Any]] = []
    for index, (common, counter) in good.counts().items():
        printed = published[index] if known else (None, None)
        photos = sorted((p for p in good.photos if p.class_index == index), key=lambda p: p.background)
        classes.append(
            {
                "class_index": index,
                "folder": good.classes[index],
                "n": len(photos),
                "n_common": common,
                "n_counter": counter,
                "published_common": printed[0],
                "published_counter": printed[1],
                "backgrounds": {
                    g: dict(Counter(p.background for p in photos if p.group == g)) for g in groups or ("",)
                },
            }
        )
    common, counter = (sum(photos) for photos in zip(*published.values(), strict=True))
    return {
        "root": str(photo_set.root),
        "grouped": photo_set.grouped,
        "classes": classes,
        "n_classes": len(classes),
        "n": len(good.photos),
        "n_common": sum(c["n_common"] for c in classes),
        "n_counter": sum(c["n_counter"] for c in classes),
        "counteranimal": known,
        "published_n_common": common,
        "published_n_counter": counter,
        "missing_classes": [index for index in published if known and index not in photo_set.classes],
        "empty_groups": [
            {"class_index": c["class_index"], "group": g} for c in classes for g in groups if not c[f"n_{g}"]
        ],
        "unreadable": [{"path": path, "reason": reason} for path, reason in sorted(bad.items())],
        "strays": list(photo_set.strays),
    }

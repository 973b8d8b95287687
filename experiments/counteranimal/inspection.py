"""What a data set holds: counts, backgrounds, unreadable photos, strays. No model is needed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.counteranimal.labels import Vocabulary
from experiments.counteranimal.photos import GROUPS, PhotoSet, unreadable
from experiments.counteranimal.reading import PREFIX, read_photos
from experiments.files import output_folder, write_json
from experiments.progress import counting
from experiments.published.tables import published_classes


def inspect(
    root: Path, output: Path | None = None, groups: str = PREFIX, vocabulary: Vocabulary | None = None
) -> dict[str, Any]:
    """Decode every photo at `root` and return what it holds; also written to output/inspection.json."""
    photo_set = read_photos(root, groups, vocabulary)
    with counting("decoding", len(photo_set.photos), "photos/s") as advance:
        document = inspection_document(photo_set, unreadable(photo_set, lambda: advance(1)))
    if output is not None:
        write_json(output_folder(output) / "inspection.json", document)
    return document


def inspection_document(photo_set: PhotoSet, bad: dict[str, str]) -> dict[str, Any]:
    """Counts of the readable photos, beside those that the paper prints."""
    good = replace(photo_set, photos=tuple(p for p in photo_set.photos if p.path not in bad))
    paper = published_classes() if is_counteranimal(photo_set) else []
    printed = {c.index: c for c in paper}
    backgrounds = Counter((p.class_index, p.group, p.background) for p in good.photos)
    per_class = Counter(p.class_index for p in good.photos)
    classes = []
    for index, (common, counter) in good.counts().items():
        known = printed.get(index)
        classes.append(
            {
                "class_index": index,
                "folder": good.classes[index],
                "n": per_class[index],
                "n_common": common,
                "n_counter": counter,
                "published_common": known.photos[0] if known else None,
                "published_counter": known.photos[1] if known else None,
                "backgrounds": {
                    group: {b: n for (i, g, b), n in sorted(backgrounds.items()) if (i, g) == (index, group)}
                    for group in (GROUPS if photo_set.grouped else ("",))
                },
            }
        )
    groups = GROUPS if photo_set.grouped else ()
    return {
        "root": str(photo_set.root),
        "grouped": photo_set.grouped,
        "classes": classes,
        "n_classes": len(classes),
        "n": len(good.photos),
        "n_common": sum(c["n_common"] for c in classes),
        "n_counter": sum(c["n_counter"] for c in classes),
        "counteranimal": is_counteranimal(photo_set),
        "published_n_common": sum(c.photos[0] for c in published_classes()),
        "published_n_counter": sum(c.photos[1] for c in published_classes()),
        "missing_classes": [c.index for c in paper if c.index not in photo_set.classes],
        "empty_groups": [
            {"class_index": c["class_index"], "group": g} for c in classes for g in groups if not c[f"n_{g}"]
        ],
        "unreadable": [{"path": path, "reason": reason} for path, reason in sorted(bad.items())],
        "strays": list(photo_set.strays),
    }


def is_counteranimal(photo_set: PhotoSet) -> bool:
    """Whether these are the paper's classes in its two groups."""
    return photo_set.grouped and not photo_set.own and set(photo_set.classes) <= {c.index for c in published_classes()}

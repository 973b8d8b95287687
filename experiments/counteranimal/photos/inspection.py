"""What a data set holds, before any model is asked: counts, backgrounds, unreadable photos, strays."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.counteranimal.labels import Vocabulary
from experiments.counteranimal.photos.groups import PREFIX
from experiments.counteranimal.photos.reading import read_tree
from experiments.counteranimal.photos.tree import GROUPS, Tree, unreadable
from experiments.files import output_folder, write_json
from experiments.progress import counting
from experiments.published.tables import published_classes


def inspect(
    root: Path, output: Path | None = None, groups: str = PREFIX, vocabulary: Vocabulary | None = None
) -> dict[str, Any]:
    """The inspection of the data set at `root`, every photo decoded; also written to output/inspection.json."""
    tree = read_tree(root, groups, vocabulary)
    with counting("decoding", len(tree.photos), "photos/s") as advance:
        document = inspection(tree, unreadable(tree, lambda: advance(1)))
    if output is not None:
        write_json(output_folder(output) / "inspection.json", document)
    return document


def inspection(tree: Tree, bad: dict[str, str]) -> dict[str, Any]:
    """What a tree holds, beside what the paper prints of its classes; counts are of readable photos."""
    good = replace(tree, photos=tuple(p for p in tree.photos if p.path not in bad))
    paper = published_classes() if is_counteranimal(tree) else []
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
                    for group in (GROUPS if tree.grouped else ("",))
                },
            }
        )
    groups = GROUPS if tree.grouped else ()
    return {
        "root": str(tree.root),
        "grouped": tree.grouped,
        "classes": classes,
        "n_classes": len(classes),
        "n": len(good.photos),
        "n_common": sum(c["n_common"] for c in classes),
        "n_counter": sum(c["n_counter"] for c in classes),
        "counteranimal": is_counteranimal(tree),
        "published_n_common": sum(c.photos[0] for c in published_classes()),
        "published_n_counter": sum(c.photos[1] for c in published_classes()),
        "missing_classes": [c.index for c in paper if c.index not in tree.classes],
        "empty_groups": [
            {"class_index": c["class_index"], "group": g} for c in classes for g in groups if not c[f"n_{g}"]
        ],
        "unreadable": [{"path": path, "reason": reason} for path, reason in sorted(bad.items())],
        "strays": list(tree.strays),
    }


def is_counteranimal(tree: Tree) -> bool:
    """Whether these are classes of the paper in its two groups, so that its counts may be of the same photos."""
    return tree.grouped and not tree.own and set(tree.classes) <= {c.index for c in published_classes()}

"""Two models on the same photos: differences class by class and, for composites, object by object.

The same classes and objects are hard for both models, so a difference is known better than either accuracy.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from experiments.counteranimal.metrics import REPLICATES, Mean, certainty, paired, settled
from experiments.counteranimal.object_effects import FEWEST, Objects
from experiments.counteranimal.result import Result
from experiments.inference import resamples
from simulator.streams import numpy_stream

MOST_PAIRED = 8  # models; more would give too many pairs to read
QUANTITIES = ("common", "counter", "drop")


def paired_models(results: Sequence[Result], seed: int = 0) -> dict[str, Any]:
    """`pairs` of the first MOST_PAIRED models with class figures, and the other models as `unpaired`.

    The mean, over classes or photos, is that of the rows.
    """
    counted = [r for r in results if r.classes is not None and len(r.classes.complete.index)]
    pairs = []
    for a, b in combinations(counted[:MOST_PAIRED], 2):
        shared = np.intersect1d(a.classes.complete.index, b.classes.complete.index)
        if a.vocabulary != b.vocabulary or not shared.size:  # indices of different class files mean different classes
            continue
        mean: Mean = "micro" if a.row.mean == "micro" else "macro"
        pair = {"first": a.row.model, "second": b.row.model, **paired(a.classes, b.classes, seed, mean=mean)}
        if a.objects is not None and b.objects is not None:
            pair["objects"] = paired_objects(a.objects, b.objects, seed)
        pairs.append(pair)
    return {"pairs": pairs, "unpaired": [r.row.model for r in counted[MOST_PAIRED:]]}


def paired_objects(
    first: Objects, second: Objects, seed: int = 0, replicates: int = REPLICATES
) -> dict[str, Any] | None:
    """Second model minus first on the objects that both have in both groups; None if there are none.

    For common, counter and drop: the mean difference over objects, its bootstrap interval over objects (None for fewer
    than FEWEST), and the exact two-sided sign test.
    """
    places = [
        {key: i for i, key in enumerate(zip(o.class_index.tolist(), o.name, strict=True))} for o in (first, second)
    ]
    shared = [key for key in places[0] if key in places[1]]
    if not shared:
        return None
    before, after = (
        o.accuracy[[place[key] for key in shared]] for o, place in zip((first, second), places, strict=True)
    )
    groups = after - before
    differences = settled(np.column_stack([groups, groups[:, 0] - groups[:, 1]]))
    weights = resamples(len(shared), replicates, numpy_stream(seed, "paired object bootstrap")) / len(shared)
    return {"objects": len(shared)} | {
        name: {"difference": float(d.mean()), **certainty(d, weights @ d, "objects", FEWEST)}
        for name, d in zip(QUANTITIES, differences.T, strict=True)
    }

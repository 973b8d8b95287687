"""Models beside each other on what both were asked: class by class and, of composites, object by object.

Models that saw the same classes or objects share what is hard about these, so their differences are known better than
either accuracy.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.counteranimal.metrics import REPLICATES, Mean, paired
from experiments.counteranimal.paired import FEWEST, Objects
from experiments.counteranimal.result import Result
from experiments.inference import bootstrap_interval, resamples, sign_test
from simulator.streams import numpy_stream

MOST_PAIRED = 8  # models with class figures; more would print more pairs than anybody reads
QUANTITIES = ("common", "counter", "drop")


def paired_models(results: Sequence[Result], seed: int = 0) -> dict[str, Any]:
    """`pairs` of the first models with class figures, by class and by object, and the models `unpaired` beyond them.

    The mean over classes or photos is that of the rows.
    """
    counted = [r for r in results if r.classes is not None and len(r.classes.complete.index)]
    pairs = []
    for a, b in combinations(counted[:MOST_PAIRED], 2):
        shared = np.intersect1d(a.classes.complete.index, b.classes.complete.index)
        if a.vocabulary != b.vocabulary or not shared.size:  # class 3 of one file is not class 3 of another
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
    """Second model minus first, object by object, on the objects that both saw in both groups; None for no such object.

    For common, counter and drop: mean difference over objects, which count alike, its bootstrap interval over objects
    (None for fewer than FEWEST), and the exact two-sided sign test.
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
    differences = np.column_stack([groups, groups[:, 0] - groups[:, 1]])
    differences = np.where(np.abs(differences) < 1e-12, 0.0, differences)  # ratios of counts, within rounding of zero
    weights = resamples(len(shared), replicates, numpy_stream(seed, "paired object bootstrap")) / len(shared)
    return {"objects": len(shared)} | {
        name: _certainty(d, weights @ d) for name, d in zip(QUANTITIES, differences.T, strict=True)
    }


def _certainty(differences: Float[np.ndarray, " O"], drawn: Float[np.ndarray, " R"]) -> dict[str, Any]:
    up, down = int((differences > 0).sum()), int((differences < 0).sum())
    interval = bootstrap_interval(drawn, len(differences)) if len(differences) >= FEWEST else None
    return {
        "difference": float(differences.mean()),
        "interval": None if interval is None else list(interval),
        "objects_up": up,
        "objects_down": down,
        "sign_test_p": sign_test(up, down),
    }

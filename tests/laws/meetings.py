"""Law 4, options meet in pairs: covering arrays of the values of several options, and the worlds
that rows describe.
"""

from itertools import combinations, product
from typing import Any

import numpy as np
from laws.grids import values_of

from simulator.prompts import PROMPTS
from simulator.world import Attribute, World
from theory.learners.base import Learner

TABLE = ((0.3, 0.1), (0.05, 0.55))
HOLES = ((0.25, 0.1, 0.0), (0.05, 0.2, 0.1), (0.0, 0.05, 0.25))
# Fields that meet. The background's number has a value of its own wherever the object's has one.
FIELDS: dict[str, list[Any]] = {
    "detail_inv": [1.0, 0.6, 0.0],
    "detail_spu": [1.0, 0.5],
    "mention_inv": [1.0, 0.7],
    "mention_spu": [1.0, 0.6],
    "bare": [0.0, 0.3],
    "mismatch": [0.0, 0.4],
    "p_inv": [1.0, 0.9],
    "sigma_xi_text": [None, 2.5],
    "kind": ["plain", "attribute", "K = 3", "table", "holes"],
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"p_spu": 0.8},
    "K = 3": {"p_spu": 0.7, "classes": 3},
    "table": {"table": TABLE},
    "holes": {"table": HOLES},
    "attribute": {
        "p_spu": 0.8,
        "attribute": (Attribute(mu=0.8, sigma=0.6, p=0.65, mention=0.9, detail=0.7),),
    },
}


def world_of(row: dict[str, Any]) -> World:
    """The world of a row of FIELDS; what a row leaves out has its default."""
    own = {name: row[name] for name in FIELDS if name in row and name != "kind"}
    fixed = {"mu_inv": 0.9, "mu_spu": 1.4, "sigma_inv": 0.8, "sigma_spu": 0.6, "sigma_xi": 1.5}
    return World(**fixed, dim_image=9, dim_text=9, **own, **KINDS[row.get("kind", "plain")])


def options_of(kind: type[Learner], *names: str) -> dict[str, list[Any]]:
    """Values of a learner's options, its defaults among them, and of its prompt."""
    usual = kind()
    own = {name: [getattr(usual, name), *values_of(kind, name)] for name in names}
    return own | ({"prompt": [*PROMPTS]} if hasattr(usual, "prompt") else {})


def covering(choices: dict[str, list[Any]], seed: int = 0) -> list[dict[str, Any]]:
    """Rows in which each two values of two options meet, chosen greedily: each is the best of 20
    drawn ones.
    """
    rng = np.random.default_rng(seed)
    names = [*choices]
    rows = []
    left = {
        (a, i, b, j)
        for a, b in combinations(names, 2)
        for i, j in product(range(len(choices[a])), range(len(choices[b])))
    }
    while left:
        drawn = []
        for _ in range(20):
            a, i, b, j = sorted(left)[rng.integers(len(left))]
            row = {a: i, b: j}
            for name in rng.permutation([n for n in names if n not in row]):
                new = [
                    sum((x, y, name, k) in left or (name, k, x, y) in left for x, y in row.items())
                    for k in range(len(choices[name]))
                ]
                row[str(name)] = int(rng.choice(np.flatnonzero(np.equal(new, max(new)))))
            drawn.append({(x, row[x], y, row[y]) for x, y in combinations(names, 2)})
            rows.append(row)
        best = int(np.argmax([len(met & left) for met in drawn]))
        rows[-20:] = [rows[len(rows) - 20 + best]]
        left -= drawn[best]
    return [{name: choices[name][row[name]] for name in names} for row in rows]


def met(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """The pairs of values that meet in some rows."""
    return {
        (a, repr(row[a]), b, repr(row[b])) for row in rows for a, b in combinations(sorted(row), 2)
    }

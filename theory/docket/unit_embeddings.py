"""Unit embeddings of finite scale: scores as CLIP has them, s u.v, in the world of the first page.

The optimum is found by minimisation (`theory.unit_embeddings`), so each claim is about one world and one scale. The
claims on typical appearance and bare name are ours. So are their converses, which the judge contradicts.
"""

from functools import partial

from theory.claims.claim import Claim
from theory.docket.common import FIRST_PAGE
from theory.learners import InfoNCE

HALF_BARE = {**FIRST_PAGE, "bare": 0.5}
LIMIT = "soberclip, unit embeddings"
unit = partial(Claim, question="detail", source=LIMIT, formula=r"s\,u\cdot v,\ |u|=|v|=1")

CLAIMS = [
    unit(
        id="unit-embeddings/typical-look-below-budget",
        statement="At a logit scale of 1, InfoNCE prompted with the typical appearance acts like the ideal classifier "
        "of a world with a correlation of at least .7, where it has .62 without a limit.",
        meaning="A small logit scale makes CLIP lean on the background more, prompted with a typical appearance.",
        quantity="equivalent-correlation",
        relation=">=",
        domain=FIRST_PAGE,
        subject=InfoNCE("name", 1.0),
        prediction=lambda x: 0.7,
    ),
    *(
        unit(
            id=f"unit-embeddings/bare-name-is-bayes/scale-{scale}",
            statement=f"At a logit scale of {scale}, InfoNCE prompted with the bare name acts like the ideal "
            "classifier of its own world.",
            meaning=meaning,
            quantity="equivalent-correlation",
            relation="=",
            domain=HALF_BARE,
            subject=InfoNCE("bare", float(scale)),
            prediction=lambda x: x.p_spu,
        )
        for scale, meaning in (
            (1, "By bare name, too, a scale of 1 is too small."),
            (2, "By bare name a scale of 2 is enough: CLIP's begins at 14.3."),
        )
    ),
    *(
        unit(
            id=f"unit-embeddings/average-caption-below-budget/{word}",
            statement="At a logit scale of 1, InfoNCE prompted with the average caption is at most as accurate on the "
            f"counter group as without a limit, where {words}.",
            meaning=meaning,
            quantity="counter",
            relation="<=",
            domain=domain,
            subject=InfoNCE("mean", 1.0),
            against=InfoNCE("mean"),
        )
        for word, words, domain, meaning in (
            ("no-bare", "no caption is bare", FIRST_PAGE, "A small scale does harm by average caption."),
            ("half-bare", "half of the captions are bare", HALF_BARE, "Bare captions turn this round."),
        )
    ),
]

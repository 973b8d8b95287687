"""Unit embeddings of finite scale: scores as CLIP has them, s u.v, in the world of the first page.

The optimum is found by minimisation (`theory.unit_embeddings`), so each claim is about one world
and one scale. The claims on typical appearance and bare name are ours. So are their converses,
which the judge contradicts.
"""

from functools import partial

from theory.claims.claim import Claim
from theory.docket.common import COUNTER, FIRST_PAGE, HALF_BARE, equivalent_of, says
from theory.docket.sentences import reading
from theory.learners import InfoNCE, SigLIP

LITTLE_NOISE = {**FIRST_PAGE, "sigma_xi": 2.5}
unit = partial(
    Claim,
    question="detail",
    source="soberclip, unit embeddings",
    formula=r"s\,u\cdot v,\ |u|=|v|=1",
)

CLAIMS = [
    unit(
        id="unit-embeddings/typical-look-below-budget",
        statement=(
            "At a logit scale of 1, InfoNCE prompted with the typical appearance acts like the"
            " ideal classifier of a world with a correlation of at least .7, where it has .62"
            " without a limit."
        ),
        meaning=(
            "A small logit scale makes CLIP lean on the background more, prompted with a typical"
            " appearance."
        ),
        **says(InfoNCE("name", 1.0), "equivalent-correlation", ">=", 0.7, FIRST_PAGE),
    ),
    *(
        unit(
            id=f"unit-embeddings/bare-name-is-bayes/scale-{scale}",
            statement=(
                f"At a logit scale of {scale}, InfoNCE prompted with the bare name acts like the"
                " ideal classifier of its own world."
            ),
            meaning=meaning,
            **says(
                InfoNCE("bare", float(scale)),
                "equivalent-correlation",
                "=",
                lambda x: x.p_spu,
                HALF_BARE,
            ),
        )
        for scale, meaning in (
            (1, "By bare name, too, a scale of 1 is too small."),
            (2, "By bare name a scale of 2 is enough: CLIP's begins at 14.3."),
        )
    ),
    *(
        unit(
            id=f"unit-embeddings/average-caption-below-budget/{word}",
            statement=(
                "At a logit scale of 1, InfoNCE prompted with the average caption is at most as"
                f" accurate on the counter group as without a limit, where {words}."
            ),
            meaning=meaning,
            **says(InfoNCE("mean", 1.0), "counter", "<=", InfoNCE("mean"), domain),
        )
        for word, words, domain, meaning in (
            (
                "no-bare",
                "no caption is bare",
                FIRST_PAGE,
                "A small scale does harm by average caption.",
            ),
            (
                "half-bare",
                "half of the captions are bare",
                HALF_BARE,
                "Bare captions turn this round.",
            ),
        )
    ),
    unit(
        id="unit-embeddings/half-at-least",
        statement=(
            "With little view noise (nu = .1), at a logit scale of 2, InfoNCE prompted with the"
            " typical appearance acts like the ideal classifier of a world with a correlation of at"
            " least a half."
        ),
        meaning=(
            "Without a limit of scores it always does; below the budget a typical appearance is"
            " unreliable."
        ),
        **says(InfoNCE("name", 2.0), "equivalent-correlation", ">=", 0.5, LITTLE_NOISE),
    ),
    unit(
        id="unit-embeddings/falls-with-scale",
        statement=(
            "With little view noise (nu = .1), InfoNCE prompted with the typical appearance relies"
            " on the background (p') at a logit scale of 2 at least as much as without a limit."
        ),
        meaning=(
            "Reliance does not fall steadily as the scale grows: it can fall below the law's, and"
            " rise again."
        ),
        **says(InfoNCE("name", 2.0), "equivalent-correlation", ">=", InfoNCE("name"), LITTLE_NOISE),
    ),
    unit(
        id="unit-embeddings/siglip-is-infonce",
        statement=(
            "At a logit scale of .5, SigLIP with a learned bias and large batches, prompted with"
            " the typical appearance, acts like the ideal classifier that InfoNCE acts like."
        ),
        meaning="The sigmoid is no dial of how much background is used, if its bias is learned.",
        formula=r"p'_{\mathrm{SigLIP}}=p'_{\mathrm{InfoNCE}}",
        **says(SigLIP("name", 0.5), "equivalent-correlation", "="),
        prediction=lambda x: equivalent_of(x, InfoNCE("name", 0.5)).correlation,
        domain=FIRST_PAGE,
    ),
    *(
        unit(
            id=f"unit-embeddings/batch-size-is-no-dial/{batch}",
            statement=(
                f"At a logit scale of .5, SigLIP with a learned bias and {batch} images per batch,"
                " prompted with the typical appearance, is as accurate on the counter group as"
                " with infinitely many, to a point."
            ),
            meaning=meaning,
            formula=rf"{COUNTER}_{{B={batch}}}={COUNTER}_{{B=\infty}}",
            **says(SigLIP("name", 0.5, batch_size=batch), "counter", "=", SigLIP("name", 0.5)),
            tolerance=0.01,
            domain=FIRST_PAGE,
        )
        for batch, meaning in (
            (64, "The size of a batch does not change how much background SigLIP uses."),
            (2, "One negative per image is too few, where the scale is too small."),
        )
    ),
    *(
        unit(
            id=f"unit-embeddings/wider-is-better/{word}",
            **reading(
                "wang-larger-models-help",
                "unit embeddings of width 2 for a small model, and the world are ours",
            ),
            statement=(
                f"At a logit scale of 2, InfoNCE prompted with the {words} is at least as accurate"
                " on the counter group with embeddings of any width as with two coordinates."
            ),
            meaning=meaning,
            formula=rf"{COUNTER}_{{D=\infty}}\geq{COUNTER}_{{D=2}}",
            **says(InfoNCE(prompt, 2.0), "counter", ">=", InfoNCE(prompt, 2.0, 2), FIRST_PAGE),
        )
        for word, prompt, words, meaning in (
            (
                "typical-look",
                "name",
                "typical appearance",
                "Width does harm by typical appearance,",
            ),
            (
                "average-caption",
                "mean",
                "average caption",
                "and helps by average caption: a larger model can do both.",
            ),
        )
    ),
]

"""What papers say about backgrounds that training never shows with a class, rare classes, and mixed
sources.

A training law is a table of two classes and several backgrounds. A paper's domain (photos,
sketches) is a background here, so that an object looks the same in every domain. Supervised
learners are compared by their laws.
"""

from functools import partial

import numpy as np

from simulator import tables
from simulator.accuracy import Numbers
from theory.claims.claim import Axis, Claim
from theory.docket.common import COUNTER, says
from theory.docket.sentences import reading
from theory.docket.subjects import (
    BAYES,
    INFONCE_NAME,
    LEAST_SQUARES,
    LINEAR_BOTH,
    LINEAR_MEAN,
    LINEAR_NAME,
)
from theory.learners import Learner

LOUD = {
    "mu_spu": Axis(1.5, 2.5),
    "sigma_inv": Axis(0.7, 1.2),
    "sigma_spu": Axis(0.3, 0.7),
    "sigma_xi": 0.0,
}
UNSEEN = r"\mathrm{Acc}(\mathrm{unseen})"
GAIN = 0.02  # of the accuracy: our reading of "essential"
# Every class is absent from one of four domains, or all classes are.
CLASS_ABSENT, DOMAIN_ABSENT = "compositional(2, 4, 1)", "leave-one-domain-out(2, 4)"
# Both tables show each class, and each of three backgrounds, equally often. One lacks two
# combinations, the other one.
TWO_HOLES = "compositional(2, 3, 1)"
ONE_HOLE = f"mixture([{TWO_HOLES}, compositional(2, 3, 2), leave-one-domain-out(2, 3)], [2, 1, 1])"
# in many, InfoNCE is slow; in one, a counterexample is as good
ONE_WORLD = {"mu_spu": 1.5, "sigma_xi": 1.0}
INFONCE_ON_ONE_HOLE = 0.8364  # its accuracy on the combination that training lacks there, to .0003
RARE_CLASS, MATCHED = "long-tail(2, 2, 2)", "diagonal(0.95)"


def accuracy_on(x, learner: Learner, quantity: str, more: float, **table) -> Numbers:
    """Accuracy on one group after training on another table, and so much more."""
    return getattr(learner.accuracy(x.replace(**table)), quantity) + more


def after(table: str, learner: Learner = LINEAR_NAME, quantity: str = "unseen", more: float = 0.0):
    """The prediction that a learner is as accurate as after training on another table, and so much
    more.
    """
    return partial(
        accuracy_on, learner=learner, quantity=quantity, more=more, table=tables.named(table)
    )


def better_source(x, learner: Learner) -> Numbers:
    """Counter accuracy after training on the better of two sources; the second one has no usual
    backgrounds.
    """
    sources = (tables.named(text) for text in (MATCHED, RARE_CLASS))
    return np.maximum(
        *(learner.accuracy(x.replace(table=t, common=((0,), (1,)))).counter for t in sources)
    )


combined = partial(Claim, question="combinations", domain=LOUD)

CLAIMS = [
    *(
        combined(
            id=f"domain-diversity/{kind}",
            **reading(
                "kempf-diversity",
                "linear towers, two classes, two domains or four, and two points are ours",
            ),
            statement=(
                "With four domains rather than two, linear CLIP (typical appearance) is at least"
                f" two points more accurate {words}."
            ),
            formula=rf"{UNSEEN}_4\geq{UNSEEN}_2+.02",
            **says(LINEAR_NAME, "unseen", ">=", after(fewer, more=GAIN)),
            table=table,
        )
        for kind, words, table, fewer in (
            (
                "compositional",
                "on classes in domains that training shows with other classes alone",
                CLASS_ABSENT,
                "compositional(2, 2, 1)",
            ),
            (
                "domain",
                "in a domain that training never shows",
                DOMAIN_ABSENT,
                "leave-one-domain-out(2, 2)",
            ),
        )
    ),
    combined(
        id="combining-is-harder",
        **reading(
            "kempf-compositional-weaker",
            "linear towers, two classes, four domains and all worlds are ours",
        ),
        statement=(
            "Linear CLIP (typical appearance) is less accurate, by a point at least, on classes in"
            " domains that training shows with other classes alone than in a domain that it never"
            " shows."
        ),
        formula=rf"{UNSEEN}_{{\mathrm{{class}}}}\leq{UNSEEN}_{{\mathrm{{domain}}}}-.01",
        **says(LINEAR_NAME, "unseen", "<=", after(DOMAIN_ABSENT, more=-0.01)),
        table=CLASS_ABSENT,
    ),
    *(
        combined(
            id=f"imbalance/{ours.name}-vs-{theirs.name}",
            **reading(
                "wen-imbalance",
                "classes of shares .8 and .2, both learners and the mean over classes are ours",
            ),
            statement=(
                f"With one class four times as frequent as the other, {ours.words} (typical"
                f" appearance) is at least as accurate over classes as {theirs.words}."
            ),
            formula=r"\mathrm{Acc}_{\mathrm{contrastive}}\geq\mathrm{Acc}_{\mathrm{supervised}}",
            **says(ours, "common", ">=", after(RARE_CLASS, theirs, "common"), domain),
            table=RARE_CLASS,
        )
        for ours, theirs, domain in (
            (LINEAR_NAME, LEAST_SQUARES, LOUD),
            # one world, since each takes half a second
            (INFONCE_NAME, BAYES, {"mu_spu": 1.5, "sigma_xi": 4.0}),
        )
    ),
    combined(
        id="mixing-kinds-dilutes",
        **reading(
            "nguyen-mixing-dilutes",
            "linear towers, and sources of correlated backgrounds and of rare classes, are ours",
        ),
        statement=(
            "Trained half and half on a source whose backgrounds match (p = .95) and on one with a"
            " rare class, linear CLIP is at most as accurate on the counter group as after the"
            " better one (typical appearance)."
        ),
        formula=rf"{COUNTER}_{{1+2}}\leq\max({COUNTER}_1,{COUNTER}_2)",
        **says(LINEAR_NAME, "counter", "<=", partial(better_source, learner=LINEAR_NAME)),
        table=f"mixture([{MATCHED}, {RARE_CLASS}], [1, 1])",
    ),
    *(
        combined(
            id=f"frequencies-predict/{kind}",
            **reading(
                "wiedemer-frequencies",
                f"{rule.words}, two tables, two points and the domain are ours",
            ),
            statement=(
                f"On combinations that training never shows, {words} is equally accurate, to two"
                " points, after two trainings that show every class and every background equally"
                " often, and other combinations."
            ),
            meaning=meaning,
            formula=rf"{UNSEEN}(T_1)={UNSEEN}(T_2)",
            **says(
                rule,
                "unseen",
                "=",
                INFONCE_ON_ONE_HOLE if rule == INFONCE_NAME else after(ONE_HOLE, rule),
            ),
            domain=LOUD if rule in LINEAR_BOTH else ONE_WORLD,
            tolerance=GAIN,
            table=TWO_HOLES,
        )
        for kind, rule, words, meaning in (
            (
                "infonce-typical-look",
                INFONCE_NAME,
                "InfoNCE by typical appearance",
                (
                    "With captions that describe every appearance, counts of single things predict"
                    " combinations that you lack."
                ),
            ),
            (
                "linear-typical-look",
                LINEAR_NAME,
                "linear CLIP by typical appearance",
                (
                    "What a typical appearance gets from a background depends on how often that"
                    " background was shown."
                ),
            ),
            (
                "linear-average-caption",
                LINEAR_MEAN,
                "linear CLIP by average caption",
                "A prompt that names backgrounds asks for their combinations: count those, too.",
            ),
            (
                "labels",
                LEAST_SQUARES,
                "least squares on labels",
                (
                    "Counts of single things do not predict what a classifier of labels makes of"
                    " new combinations."
                ),
            ),
        )
    ),
]

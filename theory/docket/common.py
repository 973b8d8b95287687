"""How a row says its claim, and the worlds, regimes and arguments that claims of several sources
share.

Where a paper does not say otherwise: mu_inv = 1, no view noise, typical appearance, and n = 1e10
for n -> infinity.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulator.accuracy import Numbers
from simulator.prompts import prompt_row
from theory.claims.claim import Axis, Claim
from theory.docket.subjects import LINEAR_BOTH
from theory.learners import Learner
from theory.published import smallest_mu_spu

if TYPE_CHECKING:
    from theory.ideal_curve import Equivalent

COUNTER = r"\mathrm{Acc}(a\neq y)"  # accuracy on the counter group, in formulas


def says(
    subject: Learner, quantity: str, relation: str, than: Any = None, domain: Any = None
) -> dict[str, Any]:
    """What a claim says, as its fields: the subject's quantity stands in this relation to `than` in
    these worlds.

    `than` is the learner whose quantity is subtracted, the field along which a monotone relation
    holds, or the prediction: a number, or a function of worlds. A claim may give it, and its
    domain, beside this.
    """
    fields = {"subject": subject, "quantity": quantity, "relation": relation}
    if domain is not None:
        fields["domain"] = domain
    if than is None:
        return fields
    if isinstance(than, Learner):
        return {**fields, "against": than}
    if isinstance(than, str):
        return {**fields, "along": than}
    return {**fields, "prediction": than if callable(than) else lambda worlds: than}


def for_both_prompts(
    kind: Callable[..., Claim], id: str, statement: str, relation: tuple, **fields
) -> list[Claim]:
    """A claim on linear CLIP for each prompt, which "%s" names; `relation` is what `says` needs
    beside the subject.
    """
    return [
        kind(
            id=id.replace("%s", learner.prompt),
            statement=statement.replace("%s", prompt_row(learner.prompt).words),
            **says(learner, *relation),
            **fields,
        )
        for learner in LINEAR_BOTH
    ]


def box(**fields: Any) -> dict[str, Any]:
    """A domain, or the part of one, from ranges (low, high), axes, and single values."""
    return {name: Axis(*given) if type(given) is tuple else given for name, given in fields.items()}


FIRST_PAGE = {"mu_spu": 1.5, "sigma_xi": 6.0}  # the world of README's first command; nu = .5625
HALF_BARE = {**FIRST_PAGE, "bare": 0.5}
# Views of two coordinates with the same nu, where drawn pairs are few numbers and least squares has
# an exact law.
NARROW_VIEWS = {"sigma_xi": 0.75 * 2**0.5, "dim_image": 2, "dim_text": 2}
# For claims that do not mention views: as wide as the two latents, without noise.
BARE = {"sigma_xi": 0.0, "dim_image": 2, "dim_text": 2}

# [W] Theorem 6.2's regime made finite: sigma_inv = Theta(1) > sigma_spu, p_spu = 1 - o(1).
REGIME = BARE | box(
    sigma_inv=(0.5, 3.0),
    sigma_spu=(0.0, lambda x: x.sigma_inv),
    mu_spu=(lambda x: smallest_mu_spu(x.sigma_inv), 10.0),
    p_spu=(0.99, 1.0),
)
ANY_CORRELATION = Axis(0.5, 1.0)
PAPER_WORLD = BARE | box(
    p_spu=ANY_CORRELATION, sigma_inv=(0.3, 3.0), sigma_spu=(0.0, 2.0), mu_spu=(0.5, 4.0)
)
# From no correlation to a strong one, with backgrounds half to three times as strong as the object.
MODERATE = BARE | box(
    p_spu=(0.5, 0.95), mu_spu=(0.5, 3.0), sigma_inv=(0.5, 2.0), sigma_spu=(0.1, 2.0)
)


def equivalent_of(worlds, learner: Learner) -> "Equivalent":
    """p' and r of a learner, world by world."""
    from theory.ideal_curve import equivalent  # scipy's root finder, for start-up time

    return equivalent(worlds, learner.accuracy(worlds))


def m0(worlds) -> Numbers:
    """2 p - 1."""
    return 2 * worlds.p_spu - 1

"""Mitigations by name: one table of ways to make a learner rely less on the background.

>>> from experiments import mitigated
>>> from simulator import World
>>> from theory import learners
>>> world, learner = mitigated("balance", World(p_spu=0.9, mu_spu=2.0), learners.named("linear"))
>>> float(round(learner.accuracy(world).drop, 6))
0.0

A mitigation says what it changes: the world of the pairs, the learner or the recipe of towers, the
prompt, or how pairs are sampled. `register` adds one of your own. Its population optimum and its
cost in pairs follow.

Label smoothing has no row: its minimiser (1 - s) p(y|x) + s/K decides as p(y|x) does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np

from experiments.errors import RequestError, unknown
from experiments.lab.config import checked_prompt, recipe_of, validated
from experiments.provenance import source
from simulator.accuracy import Numbers
from simulator.naming import add_row
from simulator.prompts import PROMPTS, prompt_row
from simulator.samplers import SAMPLERS, Sampler, check_mismatch
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import Bayes, Learner, LeastSquares, LinearCLIP, Logistic, named
from theory.learners.filtered import Filtered

NONE = "none"  # name of the mitigation that changes nothing
EARLY = 4  # an early stop takes 1/EARLY of the steps; after 1/16 linear towers have learned nothing
Trained = Learner | Recipe  # what is trained: a learner that is fitted to pairs, or towers


@dataclass(frozen=True)
class Mitigation:
    """A way to rely less on the background. What is not given stays as it is.

    Parameters
    ----------
    name : as on the command line
    words : what it does, for a table
    world : the world of the pairs, from the world before
    change : the learner or recipe, from the world of the pairs and what was before;
        RequestError where it has none
    prompt : of a learner or of towers
    sampler : how pairs are sampled before a learner is fitted; also of a recipe, unless `change`
        is given
    head : how the further pairs are sampled to which a learner's last layer is refitted
    captions : whether it applies only to what reads captions
    fitted : whether the learner can be fitted to pairs, rather than known only by its population
        optimum
    arrives : whether towers of a recipe, after the mitigation, train to their population optimum
    """

    name: str
    words: str
    world: Callable[[World], World] | None = None
    change: Callable[[World, Trained], Trained] | None = None
    prompt: str | None = None
    sampler: str = "drawn"
    head: str = "drawn"
    captions: bool = False
    fitted: bool = True
    arrives: Callable[[Recipe], bool] = lambda recipe: True


MITIGATIONS: dict[str, Mitigation] = {}


def register(mitigation: Mitigation) -> Mitigation:
    """Add a mitigation to the table and return it; ValueError if its name is taken."""
    return add_row(MITIGATIONS, mitigation, "a mitigation")


def identity(name: str) -> str | None:
    """What identifies a mitigation of one's own: its values, and the files of its functions; None
    for a shipped one.
    """
    if name in SHIPPED:
        return None
    values = vars(replace(MITIGATIONS[name], words="")).values()
    return " ".join(source(value) or "" if callable(value) else repr(value) for value in values)


def apply_to_learner(name: str, world: World, learner: Learner) -> tuple[World, Learner]:
    """The world of the pairs and the learner that is fitted to them; RequestError where a
    mitigation does not fit.
    """
    with _applied(name) as own:
        pairs, fitted = _changed(own, world, learner)
        return pairs, fitted if own.prompt is None else replace(fitted, prompt=own.prompt)


def apply_to_towers(
    name: str, world: World, recipe: Recipe, prompt: str | None
) -> tuple[World, Recipe, str | None]:
    """The world of the pairs, the recipe of towers and their prompt, after a mitigation; errors as
    for learners.
    """
    with _applied(name) as own:
        pairs, trained = _changed(own, world, recipe)
        if own.change is None and own.sampler != "drawn":
            trained = _with(recipe, sampler=own.sampler)
        if own.prompt is not None:
            return pairs, trained, checked_prompt(trained, own.prompt)
        return pairs, trained, prompt if own.change is None or trained.prompted else None


def law_of_learner(name: str, world: World, learner: Learner) -> tuple[World, Learner] | None:
    """What a learner of a world, both after the mitigation, becomes at infinitely many pairs; None
    where unknown.
    """
    own = MITIGATIONS[name]
    return _sampled(SAMPLERS[own.sampler], SAMPLERS[own.head].law(world), learner)


def law_of_towers(
    name: str, world: World, recipe: Recipe, prompt: str | None
) -> tuple[World, Learner] | None:
    """The same for towers and one of their prompts."""
    objective = recipe.objective
    label = objective.learner(recipe)
    narrow = recipe.embed_dim < world.latents
    # nobody knows what a narrow embedding keeps for it
    unknown_head = narrow and recipe.last_layer == "refitted"
    if label is None or unknown_head or not MITIGATIONS[name].arrives(recipe):
        return None
    scale = None if recipe.temperature is None else 1 / recipe.temperature
    embed_dim = (
        recipe.embed_dim if scale is not None or (narrow and objective.limited_by_width) else None
    )
    # InfoNCE's has little effect
    batch_size = recipe.batch_size if scale is not None and objective.bias else None
    try:
        learner = named(
            label, prompt=prompt, scale=scale, embed_dim=embed_dim, batch_size=batch_size
        )
    except ValueError:  # a temperature or a width without a law
        return None
    return _sampled(SAMPLERS[recipe.sampler], objective.law(recipe, world), learner)


def _sampled(sampler: Sampler, worlds: World, learner: Any) -> tuple[World, Learner] | None:
    """What a learner becomes on the sampled pairs of one world, or of each world of a grid; None
    where it is unknown.

    Captions with random backgrounds carry no information on the background. A critic that is linear
    in captions learns from them what it learns from captions without background; of three
    backgrounds or more two are exchanged, so the others still vary with their image, which only
    full width and prompts without a background of their own do not see. For other critics they
    leave decisions by the typical appearance unchanged, and by the average caption where both are
    one.
    """
    prompt = getattr(learner, "prompt", None)
    # To captions of other pairs, which are not sampled with theirs.
    blind = learner.by_likelihood or isinstance(learner, LinearCLIP)
    if (
        prompt is not None
        and sampler.balances
        and np.any(np.asarray(worlds.mismatch))
        and not blind
    ):
        return None
    if sampler.swaps and getattr(learner, "scale", None) is not None:
        return None
    if sampler.swaps and isinstance(learner, LinearCLIP):
        two = (
            np.all(np.equal(worlds.classes, 2))
            if worlds.table is None
            else worlds.background_count == 2
        )
        plain = learner == LinearCLIP(learner.prompt) and prompt != "background"
        return (worlds.replace(mention_spu=0.0), learner) if two or plain else None
    if sampler.swaps and prompt == "mean" and _is_name(sampler.captioned(worlds)):
        return worlds, replace(learner, prompt="name")
    return (sampler.law(worlds), learner) if sampler.answers(prompt) else None


def _is_name(grid: World) -> bool:
    """Whether the average caption of a class is its typical appearance; with 3 or more classes it
    mentions them all.
    """
    if grid.table is not None:
        return False
    return bool(
        np.all(np.equal(grid.classes, 2))
        and np.array_equal(grid.prompt("mean"), grid.prompt("name"))
    )


def mitigated(name: str, world: World, learner: Learner) -> tuple[World, Learner]:
    """A learner and a world whose accuracies a mitigation leads to at infinitely many pairs.

    Raises RequestError where no law is known, with the training that measures it, if there is one.

    Parameters
    ----------
    name : one of MITIGATIONS
    world : of the pairs before, or a grid of worlds
    learner : what is fitted before
    """
    law = None
    why = f"mitigation {name!r} has no known law for {_called(learner)}"
    try:
        pairs, fitted = apply_to_learner(name, world, learner)
        with validated(f"mitigation {name!r}: "):
            law = law_of_learner(name, pairs, fitted)
    except RequestError as error:
        why = str(error)
    if law is None:
        raise RequestError(why + _training(name, world, learner))
    return law


def inflation(name: str, world: World, what: Trained) -> Numbers:
    """Inflation of the sample size: pairs drawn per effective pair; see
    `simulator.samplers.Sampler.effective`.

    World and learner, or recipe, are those after the mitigation. The balanced pairs of a refitted
    last layer are not counted. Raises ValueError if a group that is to be balanced is empty.
    """
    if not isinstance(what, Recipe):
        # kept: a filter
        return 1 / (
            getattr(what, "kept", 1.0) * SAMPLERS[MITIGATIONS[name].sampler].effective(world)
        )
    passes = inf if what.n is None else what.steps * what.batch_size / what.n
    own, objective = (
        SAMPLERS[each].effective(world, passes)
        for each in (what.sampler, what.objective.sampler or "drawn")
    )
    return 1 / (own * objective)


@contextmanager
def _applied(name: str) -> Iterator[Mitigation]:
    """The mitigation of a name; errors name it."""
    if name not in MITIGATIONS:
        raise unknown("mitigation", name, MITIGATIONS)
    with validated(f"mitigation {name!r}: "):
        yield MITIGATIONS[name]


def _changed(own: Mitigation, world: World, what: Any) -> tuple[World, Any]:
    """The world of the pairs and the learner or recipe after a mitigation, before its prompt and
    sampler.
    """
    pairs = world if own.world is None else _expected(World, own.world(world))
    check_mismatch(SAMPLERS[own.sampler], pairs)
    kind, reads = (
        (Recipe, what.objective.captions)
        if isinstance(what, Recipe)
        else (Learner, what.reads_captions)
    )
    if (own.captions or own.prompt is not None) and not reads:
        raise RequestError(
            f"{_called(what)} reads no captions; those that do are linear, infonce and siglip"
        )
    return pairs, what if own.change is None else _expected(kind, own.change(pairs, what))


def _expected(kind: type, result: Any) -> Any:
    if not isinstance(result, kind):
        raise RequestError(f"it returned {result!r}; expected a {kind.__name__}")
    return result


def _called(what: Trained) -> str:
    return f"loss = {what.loss!r}" if isinstance(what, Recipe) else f"learner {what.name!r}"


def _training(name: str, world: World, learner: Learner) -> str:
    """The command that trains towers after a mitigation, whose optimum is the learner; "" if towers
    refuse it, too.
    """
    try:
        recipe = recipe_of(learner.name, {})
        apply_to_towers(name, world, recipe, checked_prompt(recipe, None))
    except RequestError:
        return ""
    towers = (
        ""
        if recipe.towers == Recipe.model_fields["towers"].default
        else f" --towers {recipe.towers}"
    )
    return f"; to measure it: soberclip train --loss {recipe.loss}{towers} --mitigate {name}"


def _no_law(what: Trained, others: str) -> RequestError:
    return RequestError(f"no law is known for {_called(what)}; {others}")


def _with(recipe: Recipe, **changes: Any) -> Recipe:
    return Recipe(**{**recipe.model_dump(), **changes})


_GROUP_DRO = {"supervised": "group-dro", "infonce": "group-dro-infonce"}


def _group_dro(world: World, what: Trained) -> Trained:
    """The fixed point of GroupDRO on a supervised rule has the law of reweighted pairs."""
    if not isinstance(what, Recipe):
        if not isinstance(what, Bayes | Logistic):
            raise _no_law(what, "bayes and logistic have one")
        return what
    if what.loss not in _GROUP_DRO:
        raise RequestError(
            f"GroupDRO does not apply to {_called(what)}; it applies to {' and '.join(_GROUP_DRO)}"
        )
    return _with(what, loss=_GROUP_DRO[what.loss])


def _refitted(world: World, what: Trained) -> Trained:
    """Least squares on balanced groups, if the embedding keeps all latents.

    At mention_spu = 0 the loss does not say whether towers keep the background, which no caption
    mentions. The law assumes that they do, as our trained towers did; the balanced factorisation of
    M* does not.
    """
    if isinstance(what, Recipe):
        return _with(what, last_layer="refitted")
    width = getattr(what, "embed_dim", None)
    if (width is not None and width < world.latents) or not isinstance(what, LinearCLIP | Logistic):
        raise _no_law(what, "linear and logistic have one, at full width")
    return LeastSquares()


def _projected(world: World, what: Trained) -> Trained:
    """The law is that of balanced linear towers (T12). No training of towers projects their
    embeddings.
    """
    if isinstance(what, Recipe):
        raise RequestError(
            "no training of towers projects their embeddings; predict and simulate have the law"
        )
    if not isinstance(what, LinearCLIP):
        raise _no_law(what, "linear has one")
    return replace(what, projected=True)


def _filtered(world: World, what: Trained) -> Trained:
    """The law is that of unlimited pairs before the filter. No training of towers filters its
    pairs.
    """
    if not isinstance(what, LinearCLIP) or what != LinearCLIP(what.prompt):
        raise _no_law(what, "linear has one, at full width and at the end of its training")
    return Filtered(what.prompt)


def _stopped(world: World, what: Trained) -> Trained:
    """No law is known: what is learned first depends on the towers and on the learning rate."""
    if not isinstance(what, Recipe):
        raise RequestError(f"{_called(what)} has no training steps to stop; towers have")
    return _with(what, steps=max(1, what.steps // EARLY), schedule="constant")


def _narrowed(world: World, what: Trained) -> Trained:
    """Width K - 1 for inner products; at least 2 for unit vectors, since one coordinate keeps only
    a sign.
    """
    least = world.class_count - 1
    if isinstance(what, Recipe):
        return _with(what, embed_dim=max(2, least) if what.objective.cosine else least)
    if not isinstance(what, LinearCLIP):
        raise RequestError(f"{_called(what)} has no embedding; linear has one")
    return replace(what, embed_dim=least)


_OMIT = partial(World.replace, mention_spu=0.0)
_MENTION = partial(World.replace, mention_spu=1.0)
_DFR = "last layer refitted on balanced groups; the law assumes towers that keep all latents"
_PROJECT = "embeddings without the direction of the background's caption"
_FILTER = "the half of pairs that a teacher of unlimited pairs scores highest"
_NARROW = "the narrowest embedding that tells the classes apart"
for _row in (
    Mitigation(NONE, "no mitigation"),
    Mitigation("balance", "groups drawn with replacement, equally often", sampler="balanced"),
    Mitigation("subsample", "groups cut to the smallest", sampler="subsampled"),
    Mitigation("reweight", "groups weighted equally", sampler="reweighted"),
    Mitigation(
        "group-dro",
        "GroupDRO: groups weighted by their losses",
        None,
        _group_dro,
        sampler="reweighted",
        fitted=False,
    ),
    Mitigation("dfr", _DFR, None, _refitted, head="balanced", fitted=False),
    Mitigation(
        "omit-background", "captions that never mention the background", _OMIT, captions=True
    ),
    Mitigation("mention", "captions that always mention the background", _MENTION, captions=True),
    Mitigation(
        "contradict",
        "captions that name a random background",
        sampler="contradicted",
        captions=True,
    ),
    *(
        Mitigation(f"prompt-{each}", f"prompted by {prompt_row(each).words}", prompt=each)
        for each in PROMPTS
    ),
    Mitigation("project-background", _PROJECT, None, _projected),
    Mitigation("filter", _FILTER, None, _filtered, fitted=False),
    Mitigation(
        "early-stopping",
        f"one in {EARLY} of the steps",
        None,
        _stopped,
        arrives=lambda recipe: False,
    ),
    Mitigation(
        "narrow", _NARROW, None, _narrowed, arrives=lambda recipe: not recipe.objective.cosine
    ),
):
    register(_row)
SHIPPED = frozenset(MITIGATIONS)

"""Mitigations by name: one table of ways to make a learner rely less on the background.

>>> from experiments import Setting, mitigated
>>> from simulator import World
>>> from theory import learners
>>> setting = mitigated("balance", Setting(World(p_spu=0.9, mu_spu=2.0), learners.named("linear")))
>>> law = setting.law()
>>> float(round(law.learner.accuracy(law.world).drop, 6))
0.0

Each is a function Setting -> Setting. It changes the world, the sampling of pairs, the objective, the last layer or the
prompt. `register` adds a function of your own. The population optimum (`Setting.law`) and the cost in pairs
(`Setting.pairs`) follow from the changed setting.

Label smoothing has no row: its minimiser (1 - s) p(y|x) + s/K decides as p(y|x) does.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import methodcaller

from experiments.errors import RequestError, unknown
from experiments.lab.config import checked_prompt, recipe_of, validated
from experiments.lab.setting import Law, Setting
from simulator.naming import add_row
from simulator.prompts import PROMPTS, prompt_row
from simulator.samplers import SAMPLERS, check_mismatch
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import Bayes, LeastSquares, LinearCLIP, Logistic
from theory.learners.filtered import Filtered

NONE = "none"  # name of the mitigation that changes nothing
EARLY = 4  # an early stop takes 1/EARLY of the steps; after 1/16 linear towers have learned nothing


@dataclass(frozen=True)
class Mitigation:
    """A way to rely less on the background.

    Parameters
    ----------
    name
        As on the command line.
    words
        What it does, for a table.
    apply
        Setting -> Setting; raises RequestError, naming what it applies to, for other settings.
    """

    name: str
    words: str
    apply: Callable[[Setting], Setting]


MITIGATIONS: dict[str, Mitigation] = {}


def register(mitigation: Mitigation) -> Mitigation:
    """Add a mitigation to the table and return it; ValueError if its name is taken."""
    return add_row(MITIGATIONS, mitigation, "a mitigation")


def names() -> tuple[str, ...]:
    return tuple(MITIGATIONS)


def described() -> str:
    return ", ".join(f"{name} ({mitigation.words})" for name, mitigation in MITIGATIONS.items())


def mitigated(name: str, setting: Setting) -> Setting:
    """A setting after a mitigation; RequestError for an unknown name, and where the mitigation does not apply.

    Parameters
    ----------
    name : one of `names()`
    setting : before it
    """
    if name not in MITIGATIONS:
        raise unknown("mitigation", name, names())
    try:
        found = validated(lambda: MITIGATIONS[name].apply(setting))
    except RequestError as error:
        raise RequestError(f"mitigation {name!r}: {error}") from None
    if not isinstance(found, Setting):
        raise RequestError(f"mitigation {name!r} returned {found!r}; expected a Setting")
    return found


def known_law(name: str, setting: Setting) -> Law:
    """The law of a learner's setting after a mitigation.

    Raises RequestError where none is known, with the training that measures it, if there is one.
    """
    law, why = None, f"mitigation {name!r} has no known law for {setting.called}"
    try:
        law = validated(mitigated(name, setting).law, f"mitigation {name!r}: ")
    except RequestError as error:
        why = str(error)
    if law is None:
        raise RequestError(why + (_training(name, setting) if name in MITIGATIONS else ""))
    return law


def _training(name: str, setting: Setting) -> str:
    """The command that trains towers after a mitigation, whose optimum is the learner; "" if towers refuse it, too."""
    assert setting.learner is not None
    try:
        recipe = recipe_of(setting.learner.name, {})
        mitigated(name, Setting(setting.world, recipe=recipe, prompt=checked_prompt(recipe, None)))
    except RequestError:
        return ""
    towers = "" if recipe.towers == Recipe.model_fields["towers"].default else f" --towers {recipe.towers}"
    return f"; to measure it: soberclip train --loss {recipe.loss}{towers} --mitigate {name}"


def _captioned(setting: Setting) -> Setting:
    if not setting.reads_captions:
        raise RequestError(f"{setting.called} reads no captions; those that do are linear, infonce and siglip")
    return setting


def _contradicted(setting: Setting) -> Setting:
    check_mismatch(SAMPLERS["contradicted"], setting.world)
    return _captioned(setting).sampled("contradicted")


def _no_law(setting: Setting, others: str) -> RequestError:
    return RequestError(f"no law is known for {setting.called}; {others}")


_GROUP_DRO = {"supervised": "group-dro", "infonce": "group-dro-infonce"}


def _group_dro(setting: Setting) -> Setting:
    """The fixed point of GroupDRO on a supervised rule has the law of reweighted pairs."""
    if setting.recipe is None:
        if not isinstance(setting.learner, Bayes | Logistic):
            raise _no_law(setting, "bayes and logistic have one")
        return replace(setting.sampled("reweighted"), fitted=False)
    robust = _GROUP_DRO.get(setting.recipe.loss)
    if robust is None:
        raise RequestError(f"GroupDRO does not apply to {setting.called}; it applies to {' and '.join(_GROUP_DRO)}")
    return setting.trained(loss=robust)


def _refitted(setting: Setting) -> Setting:
    """Least squares on balanced groups, if the embedding keeps all latents.

    At mention_spu = 0 the loss does not say whether towers keep the background, which no caption mentions. The law
    assumes that they do, as our trained towers did; the balanced factorisation of M* does not.
    """
    if setting.recipe is not None:
        return replace(setting.trained(last_layer="refitted"), prompt=None)
    width, world = getattr(setting.learner, "embed_dim", None), setting.world
    narrow = width is not None and (not isinstance(world, World) or width < world.latents)
    if narrow or not isinstance(setting.learner, LinearCLIP | Logistic):
        raise _no_law(setting, "linear and logistic have one, at full width")
    return replace(setting, head="balanced", learner=LeastSquares(), fitted=False)


def _projected(setting: Setting) -> Setting:
    """The law is that of balanced linear towers (T12); trained towers need not be balanced."""
    if setting.recipe is not None:
        return replace(_captioned(setting), projected=True, arrives=False)
    if not isinstance(setting.learner, LinearCLIP):
        raise _no_law(setting, "linear has one")
    return replace(setting, learner=replace(setting.learner, projected=True))


def _filtered(setting: Setting) -> Setting:
    """The law is that of unlimited pairs before the filter. No training of towers filters its pairs."""
    learner = setting.learner
    if not isinstance(learner, LinearCLIP) or learner != LinearCLIP(learner.prompt):
        raise _no_law(setting, "linear has one, at full width and at the end of its training")
    return replace(setting, learner=Filtered(learner.prompt), fitted=False)


def _narrowed(setting: Setting) -> Setting:
    """Width K - 1 for inner products; at least 2 for unit vectors, since one coordinate keeps only a sign."""
    least = int(setting.world.classes) - 1
    if setting.recipe is None:
        if not isinstance(setting.learner, LinearCLIP):
            raise RequestError(f"{setting.called} has no embedding; linear has one")
        return replace(setting, learner=replace(setting.learner, embed_dim=least))
    cosine = setting.recipe.objective.cosine
    narrow = setting.trained(embed_dim=max(2, least) if cosine else least)
    return replace(narrow, arrives=setting.arrives and not cosine)


def _stopped(setting: Setting) -> Setting:
    """No law is known: what is learned first depends on the towers and on the learning rate."""
    if setting.recipe is None:
        raise RequestError(f"{setting.called} has no training steps to stop; towers have")
    steps = max(1, setting.recipe.steps // EARLY)
    return replace(setting.trained(steps=steps, schedule="constant"), arrives=False)


_TABLE: tuple[tuple[str, str, Callable[[Setting], Setting]], ...] = (
    (NONE, "no mitigation", lambda s: s),
    ("balance", "groups drawn with replacement, equally often", lambda s: s.sampled("balanced")),
    ("subsample", "groups cut to the smallest", lambda s: s.sampled("subsampled")),
    ("reweight", "groups weighted equally", lambda s: s.sampled("reweighted")),
    ("group-dro", "GroupDRO: groups weighted by their losses", _group_dro),
    ("dfr", "last layer refitted on balanced groups; the law assumes towers that keep all latents", _refitted),
    ("omit-background", "captions that never mention the background", lambda s: _captioned(s).within(mention_spu=0.0)),
    ("mention", "captions that always mention the background", lambda s: _captioned(s).within(mention_spu=1.0)),
    ("contradict", "captions that name a random background", _contradicted),
    *(
        (f"prompt-{prompt}", f"prompted by {prompt_row(prompt).words}", methodcaller("prompted", prompt))
        for prompt in PROMPTS
    ),
    ("project-background", "embeddings without the direction of the background's caption", _projected),
    ("filter", "the half of pairs that a teacher of unlimited pairs scores highest", _filtered),
    ("early-stopping", f"one in {EARLY} of the steps", _stopped),
    ("narrow", "the narrowest embedding that tells the classes apart", _narrowed),
)
for _row in _TABLE:
    register(Mitigation(*_row))

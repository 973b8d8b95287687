"""Mitigations by name: what may be done so that a learner relies less on the background. One table.

>>> from experiments import Setting, mitigated
>>> from simulator import World
>>> from theory import learners
>>> setting = mitigated("balance", Setting(World(p_spu=0.9, mu_spu=2.0), learners.named("linear")))
>>> law = setting.law()
>>> float(round(law.learner.accuracy(law.world).drop, 6))
0.0

Each is a function Setting -> Setting: it changes the world, how pairs are sampled, the objective, the last layer or the
prompt, and nothing else knows its name. One of one's own is such a function, entered by `register`. What is known of
the result follows from what was changed (`Setting.law`), and so does what it costs in pairs (`Setting.pairs`).

What did not earn a row: label smoothing, whose minimiser (1 - s) p(y|x) + s/K decides as p(y|x) does; a fixed
temperature, which costs InfoNCE 8 points of the counter group at 1 and nothing at 0.3 or below (design temperature).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from experiments.errors import RequestError
from experiments.lab.recipes import checked_prompt, in_words
from experiments.lab.trained import Law, becomes
from simulator import prompts
from simulator.accuracy import Numbers
from simulator.naming import suggestion
from simulator.prompts import PROMPTS
from simulator.samplers import SAMPLERS
from simulator.world import World, Worlds
from theory.learners import Bayes, Learner, LeastSquares, LinearCLIP, Logistic

if TYPE_CHECKING:
    from simulator.towers.recipe import Recipe

NONE = "none"  # the name of doing nothing
EARLY = 16  # of the steps, an early stop takes one in so many


@dataclass(frozen=True)
class Setting:
    """A training and how it is asked.

    Attributes
    ----------
    world : World or Worlds
        In which pairs are drawn.
    learner : Learner or None
        What is fitted to them, as it is asked; None where towers are trained.
    recipe : Recipe or None
        How towers are trained; None where a learner is fitted.
    prompt : str or None
        How towers are asked.
    sampler : str
        What is done with pairs before a learner is fitted; a recipe has its own.
    fitted : bool
        Whether a learner is fitted to pairs so, rather than known by its population alone.
    arrives : bool
        Whether training goes on to the optimum.
    """

    world: World | Worlds
    learner: Learner | None = None
    recipe: "Recipe | None" = None
    prompt: str | None = None
    sampler: str = "drawn"
    fitted: bool = True
    arrives: bool = True

    @property
    def called(self) -> str:
        """What is trained, in a sentence."""
        return f"learner {self.learner.name!r}" if self.recipe is None else f"loss = {self.recipe.loss!r}"

    def law(self) -> Law | None:
        """The closed form of what is arrived at; None where none is known.

        Raises
        ------
        ValueError
            Where groups are balanced of which some have no share.
        """
        if not self.arrives:
            return None
        if self.recipe is not None:
            return becomes(self.recipe, self.world, self.prompt)
        sampler = SAMPLERS[self.sampler]
        if not sampler.answers(getattr(self.learner, "prompt", None)):
            return None
        return Law(self.learner, sampler.law(self.world))

    def pairs(self) -> Numbers:
        """Pairs that must be drawn for each effective one, 1 or more; see `simulator.samplers.Sampler.effective`.

        The balanced pairs of a refitted last layer come on top, the same number whatever is trained.

        Raises
        ------
        ValueError
            As `law`.
        """
        names = [self.sampler]
        if self.recipe is not None:
            names = [self.recipe.sampler, self.recipe.objective.sampler or "drawn"]
        share = 1.0
        for name in names:
            share = share * SAMPLERS[name].effective(self.world)
        return 1 / share

    def within(self, **changes) -> "Setting":
        """The same with fields of the world changed.

        Parameters
        ----------
        **changes
            Fields of World.

        Raises
        ------
        ValueError
            For a value outside its domain.
        """
        if isinstance(self.world, World):
            return replace(self, world=self.world.model_copy(update=changes))
        return replace(self, world=self.world.replace(**changes))

    def trained(self, **changes) -> "Setting":
        """The same with fields of the recipe changed.

        Parameters
        ----------
        **changes
            Fields of Recipe.

        Raises
        ------
        RequestError
            Where they make no sense together.
        """
        try:
            return replace(self, recipe=type(self.recipe)(**{**self.recipe.model_dump(), **changes}))
        except ValidationError as failure:
            raise RequestError(in_words(failure)) from None

    def sampled(self, sampler: str) -> "Setting":
        """The same with a sampler.

        Parameters
        ----------
        sampler : its name

        Raises
        ------
        RequestError
            As `trained`.
        """
        return replace(self, sampler=sampler) if self.recipe is None else self.trained(sampler=sampler)

    def asked(self, prompt: str) -> "Setting":
        """The same with a prompt.

        Parameters
        ----------
        prompt : its name

        Raises
        ------
        RequestError
            Where no captions are read.
        """
        if self.recipe is None:
            if "prompt" not in {field.name for field in fields(self.learner)}:
                raise RequestError(f"{self.called} reads no captions, so no prompt changes it; linear and infonce do")
            return replace(self, learner=replace(self.learner, prompt=prompt))
        try:
            return replace(self, prompt=checked_prompt(self.recipe, prompt))
        except RequestError as error:
            raise RequestError(str(error).removeprefix("--")) from None


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
        Setting -> Setting; RequestError where it makes no sense, saying where it does.
    """

    name: str
    words: str
    apply: Callable[[Setting], Setting]


MITIGATIONS: dict[str, Mitigation] = {}


def register(mitigation: Mitigation) -> Mitigation:
    """Enter a mitigation into the table and return it.

    Raises
    ------
    ValueError
        If another one has its name.
    """
    if mitigation.name == NONE or MITIGATIONS.setdefault(mitigation.name, mitigation) is not mitigation:
        raise ValueError(f"a mitigation named {mitigation.name!r} is in the table already; names are unique")
    return mitigation


def names() -> tuple[str, ...]:
    """ "none" and the names of all mitigations."""
    return (NONE, *MITIGATIONS)


def described() -> str:
    """All mitigations with what they do, for people."""
    return ", ".join([NONE, *(f"{name} ({mitigation.words})" for name, mitigation in MITIGATIONS.items())])


def mitigated(name: str, setting: Setting) -> Setting:
    """A setting after a mitigation.

    Parameters
    ----------
    name : one of `names()`
    setting : before it

    Raises
    ------
    RequestError
        For an unknown name, with the nearest, and where the mitigation makes no sense.
    """
    if name == NONE:
        return setting
    if name not in MITIGATIONS:
        raise RequestError(f"mitigation {name!r} is not one of {', '.join(names())}{suggestion(name, names())}")
    try:
        return MITIGATIONS[name].apply(setting)
    except RequestError as error:
        raise RequestError(f"mitigation {name!r}: {error}") from None


def known_law(name: str, setting: Setting) -> Law:
    """The law of a setting after a mitigation.

    Parameters
    ----------
    name, setting
        As of `mitigated`.

    Raises
    ------
    RequestError
        Where none is known, naming the mitigations that have one here.
    """
    try:
        law = mitigated(name, setting).law()
    except ValueError as error:
        raise RequestError(f"mitigation {name!r}: {error}") from None
    if law is None:
        known = ", ".join(other for other in MITIGATIONS if _has_law(other, setting))
        raise RequestError(
            f"mitigation {name!r} has no known law for {setting.called}; those that have one are {known}"
        )
    return law


def _has_law(name: str, setting: Setting) -> bool:
    try:
        return mitigated(name, setting).law() is not None
    except (RequestError, ValueError):
        return False


def _sampled(sampler: str) -> Callable[[Setting], Setting]:
    return lambda setting: setting.sampled(sampler)


def _asked(prompt: str) -> Callable[[Setting], Setting]:
    return lambda setting: setting.asked(prompt)


def _mentioned(rate: float) -> Callable[[Setting], Setting]:
    def apply(setting: Setting) -> Setting:
        if setting.recipe is not None and not setting.recipe.objective.captions:
            raise RequestError(f"{setting.called} reads no captions; those that do are linear, infonce and siglip")
        return setting.within(mention_spu=rate)

    return apply


_GROUP_DRO = {"supervised": "group-dro", "infonce": "group-dro-infonce"}


def _group_dro(setting: Setting) -> Setting:
    """Known by its population where a rule is supervised, whose fixed point has the law of reweighted pairs."""
    if setting.recipe is None:
        if not isinstance(setting.learner, Bayes | Logistic):
            raise RequestError(f"no law is known for {setting.called}; bayes and logistic have one")
        return replace(setting.sampled("reweighted"), fitted=False)
    robust = _GROUP_DRO.get(setting.recipe.loss)
    if robust is None:
        raise RequestError(f"there is no GroupDRO on {setting.called}; there is on {' and '.join(_GROUP_DRO)}")
    return setting.trained(loss=robust)


def _refitted(setting: Setting) -> Setting:
    """On an embedding that keeps all latents: the rule of least squares on balanced groups."""
    if setting.recipe is not None:
        return replace(setting.trained(last_layer="refitted"), prompt=None)
    if not isinstance(setting.learner, LinearCLIP | Logistic) or getattr(setting.learner, "embed_dim", None):
        raise RequestError(f"no law is known for {setting.called}; linear and logistic have one, at full width")
    return replace(setting.sampled("balanced"), learner=LeastSquares(), fitted=False)


def _narrowed(setting: Setting) -> Setting:
    """Rank K - 1 of inner products; two coordinates of unit vectors, which one leaves nothing but signs."""
    least = int(setting.world.classes) - 1
    if setting.recipe is None:
        if not isinstance(setting.learner, LinearCLIP):
            raise RequestError(f"{setting.called} has no embedding; linear has one")
        return replace(setting, learner=replace(setting.learner, embed_dim=least))
    cosine = setting.recipe.objective.cosine
    narrow = setting.trained(embed_dim=max(2, least) if cosine else least)
    return replace(narrow, arrives=setting.arrives and not cosine)


def _stopped(setting: Setting) -> Setting:
    """No law: what is learned first depends on the towers and on the rate."""
    if setting.recipe is None:
        raise RequestError(f"{setting.called} is fitted at once, so there is nothing to stop; towers are trained")
    steps = max(1, setting.recipe.steps // EARLY)
    return replace(setting.trained(steps=steps, schedule="constant"), arrives=False)


for _mitigation in (
    Mitigation("balance", "groups drawn with replacement, equally often", _sampled("balanced")),
    Mitigation("subsample", "groups cut to the smallest", _sampled("subsampled")),
    Mitigation("reweight", "groups weighed equally", _sampled("reweighted")),
    Mitigation("group-dro", "GroupDRO: groups weighed by their losses", _group_dro),
    Mitigation("dfr", "last layer refitted on balanced groups", _refitted),
    Mitigation("omit-background", "captions that never mention the background", _mentioned(0.0)),
    Mitigation("mention", "captions that always mention the background", _mentioned(1.0)),
    Mitigation("contradict", "captions that name a background drawn by chance", _sampled("contradicted")),
    *(Mitigation(f"prompt-{name}", f"asked by {prompts.asked(name).words}", _asked(name)) for name in PROMPTS),
    Mitigation("early-stopping", f"one in {EARLY} of the steps", _stopped),
    Mitigation("narrow", "the narrowest embedding that tells the classes apart", _narrowed),
):
    register(_mitigation)

"""The numbers in the report's prose: the answer to its title, and the share of a map where either side is ahead."""

from typing import Any

import xarray as xr

from experiments.lab.answers import predict
from experiments.lab.presets import design
from experiments.lab.studies import read
from simulator.world import World
from theory.learners import InfoNCE, Learner, LinearCLIP, Logistic, named

# The world of the answer, as flags of `predict`. Each number of the answer is printed by the command beside it.
COMMAND = "soberclip predict --mu-spu 2 --sigma-xi 0.8"
ANSWER_WORLD = {"mu_spu": 2.0, "sigma_xi": 0.8}
CERTAIN = 0.99999
TAU = 0.005  # smaller differences of accuracy count as equal


def answer() -> list[str]:
    """The title question in three sentences, each with two numbers and, in backquotes, the command that prints them."""
    return [
        f"With the bare class name as prompt, the optimum of CLIP's own loss uses the animal. It is right on "
        f"{points(InfoNCE('name'))} % of the common/counter group (`{COMMAND} --learner infonce`).",
        f"With the average caption as prompt, the same optimum uses the background: {points(InfoNCE('mean'))} % "
        f"(`{COMMAND} --learner infonce --prompt mean`).",
        f"Supervised logistic regression lies in between: {points(Logistic())} % (`{COMMAND} --learner logistic`). So "
        "the prompt decides, more than the contrastive loss.",
    ]


def setting() -> str:
    """The world of the answer, in words."""
    world = World(**ANSWER_WORLD)
    return (
        f"The background is twice as strong as the animal and matches it in {100 * world.p_spu:g} % of the training "
        f"pairs. The view noise is ν = {world.nu_image:.2g}. Common test images have the usual background of their "
        "class, counter images another one."
    )


def at_length(shares: list[dict[str, Any]]) -> list[str]:
    """The answer with linear CLIP, certain correlation and the mapped worlds; `shares` is from `shares_of`."""

    def share(contrastive: Learner, ahead: str = "contrastive") -> str:
        rows = [r for r in shares if r["contrastive"] == contrastive.label and r["supervised"] == Logistic.name]
        return f"{100 * sum(r[f'{ahead}_more_robust'] for r in rows) / len(rows):.0f} %"

    nu = design("supervised").study().world.nu_image
    name, mean = points(LinearCLIP("name")), points(LinearCLIP("mean"))
    certain = points(Logistic(), CERTAIN), points(LinearCLIP("name"), CERTAIN)
    return [
        "The prompt, the loss and the certainty of the correlation matter more than the contrastive loss itself. In "
        f"the world of the answer (`{COMMAND}`, ν = {World(**ANSWER_WORLD).nu_image:.2g}), linear CLIP is right on "
        f"{name} % of the common/counter group with the class name, and on {mean} % with the average caption "
        "(`--prompt mean`). The optimum of the InfoNCE loss, which CLIP minimises (`--learner infonce`), reaches "
        f"{points(InfoNCE('name'))} % and {points(InfoNCE('mean'))} % with the same two prompts.",
        f"Supervised logistic regression on the same images (`--learner logistic`) is right on {points(Logistic())} %, "
        "so it beats linear CLIP there. As the correlation becomes certain, the limit of the published theorem, it "
        f"falls to {certain[0]} %, and linear CLIP to {certain[1]} % (`--p-spu {CERTAIN}`).",
        "So the theorem shows that CLIP can be bad, not that it is worse than supervised learning. Neither paper's "
        f"ranking holds in general. On the counter group of the mapped worlds (ν = {nu:g}, `soberclip reproduce`), "
        "linear CLIP with the name prompt is ahead of logistic regression in "
        f"{share(LinearCLIP('name'))} and behind in {share(LinearCLIP('name'), 'supervised')}. The InfoNCE optimum is "
        f"ahead in {share(InfoNCE('name'))} with the name prompt, and behind in "
        f"{share(InfoNCE('mean'), 'supervised')} with the average caption.",
    ]


def points(learner: Learner, p_spu: float = World().p_spu) -> str:
    """Common/counter accuracy in percent, as `predict` prints it for the world of the answer."""
    document = predict(World(**ANSWER_WORLD, p_spu=p_spu), learner)
    return f"{100 * document['common']:.2f}/{100 * document['counter']:.2f}"


def leads(table: xr.Dataset) -> xr.DataArray:
    """Counter accuracy in the study "supervised", contrastive (with a prompt) minus supervised learners.

    Dimensions: contrastive, supervised, then the study's axes.
    """
    supervised = table.learner.attrs["without_prompt"]
    theirs = table.counter.sel(learner=supervised, prompt=table.prompt[0]).drop_vars("prompt")
    ours = table.counter.drop_sel(learner=supervised).stack(contrastive=("learner", "prompt"))
    labels = [named(learner, prompt=prompt).label for learner, prompt in ours.contrastive.values]
    ours = ours.drop_vars(["contrastive", "learner", "prompt"]).assign_coords(contrastive=labels)
    gap = ours - theirs.rename(learner="supervised")
    return gap.transpose("contrastive", "supervised", ...)


def shares_of(gap: xr.DataArray) -> list[dict[str, Any]]:
    """Per pair of learners and correlation: the shares of the map where either side is ahead by more than TAU."""
    cells = [name for name in gap.dims if name not in ("contrastive", "supervised", "p_spu")]
    ahead = {"contrastive_more_robust": (gap > TAU).mean(cells), "supervised_more_robust": (gap < -TAU).mean(cells)}
    return xr.Dataset(ahead).to_dataframe().reset_index().to_dict("records")


def region(table: xr.Dataset) -> str:
    """The mapped region in words."""
    study = read(table.attrs["study"])
    ranges = [f"{axis.name} from {axis.values[0]:g} to {axis.values[-1]:g}" for axis in study.axes]
    return ", ".join([*ranges, f"view noise ν = {study.world.nu_image:g}"])

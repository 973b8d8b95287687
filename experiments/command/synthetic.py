"""`soberclip predict`, `simulate`, `train` and `show`: one world in, one document or picture out."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from experiments.abilities import trainable
from experiments.command.flags import TrainingOptions, WorldFile, WorldOptions, given
from experiments.command.words import Json, Output, Seed, Whole, emit, free_output, real, whole
from experiments.errors import RequestError
from experiments.lab import mitigations
from experiments.progress import doing, say
from simulator.prompts import Prompt, in_words
from theory.learners import Learner, named, names

RESULT = ("result.json", "world.toml")  # what predict and simulate write
PromptFlag = Annotated[
    Prompt | None,
    Parameter(help=f"how a class is asked for: {in_words()} [default: name]", show_default=False),
]
Mitigate = Annotated[str, Parameter(help=f"what is done against the background, one of {mitigations.described()}")]
EmbedDim = Annotated[
    int | None, Parameter(converter=whole, help="embedding width of the towers; absent: wide enough for all")
]


def predict(
    *,
    learner: Annotated[str, Parameter(help=f"what is trained: {', '.join(names())}")] = "linear",
    prompt: PromptFlag = None,
    embed_dim: EmbedDim = None,
    mitigate: Mitigate = "none",
    world_file: WorldFile = None,
    world: WorldOptions | None = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Accuracy on the common and the counter group at n = infinity, by theory.

    Example: soberclip predict --p-spu 0.99 --mu-spu 2 --sigma-xi 0
    """
    from experiments.command.screens.synthetic import accuracy_table
    from experiments.lab.answers import predict as run
    from experiments.lab.worlds import world_from

    settings = world_from(world_file, given(world))
    trained = _learner(learner, prompt, embed_dim)
    free_output(output, "predict", RESULT)
    document = {"verb": "predict", **run(settings, trained, mitigate)}
    emit(document, json, accuracy_table, output, settings)


def simulate(
    *,
    n: Annotated[Whole, Parameter(help="pairs to train on, 2 to 1e12")] = 10_000,
    replicates: Annotated[Whole, Parameter(help="independent trainings")] = 100,
    method: Annotated[
        Literal["exact", "direct"] | None,
        Parameter(help="exact law of the trained model, or pairs drawn one by one [default: exact if there is one]"),
    ] = None,
    learner: Annotated[str, Parameter(help=f"what is trained: {', '.join(trainable())}")] = "linear",
    prompt: PromptFlag = None,
    embed_dim: EmbedDim = None,
    mitigate: Mitigate = "none",
    seed: Seed = 0,
    world_file: WorldFile = None,
    world: WorldOptions | None = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Train linear CLIP (or a supervised rule) on n pairs, many times, and measure both groups.

    Example: soberclip simulate --n 1e6 --replicates 200 --mu-spu 2
    """
    from experiments.command.screens.synthetic import accuracy_table
    from experiments.lab.answers import simulate as run
    from experiments.lab.worlds import world_from

    settings = world_from(world_file, given(world))
    trained = _learner(learner, prompt, embed_dim)
    free_output(output, "simulate", RESULT)
    document = {"verb": "simulate", **run(settings, trained, n, replicates, method, seed, mitigate)}
    emit(document, json, accuracy_table, output, settings)


def train(
    *,
    training: TrainingOptions | None = None,
    ensemble: Annotated[Whole, Parameter(help="models trained at once, each with its own streams")] = 1,
    prompt: PromptFlag = None,
    mitigate: Mitigate = "none",
    until: Annotated[
        float | None,
        Parameter(
            converter=real,
            help="stop once no accuracy moves by more than this while the steps double, over models of an --ensemble; "
            "--steps is the most",
        ),
    ] = None,
    device: Annotated[str, Parameter(help="cpu, cuda, cuda:1 ...")] = "cpu",
    draw_on: Annotated[
        str | None, Parameter(help="device that draws the pairs; cpu makes them equal on every device")
    ] = None,
    compile: Annotated[bool, Parameter(help="compile the step; --no-compile starts sooner")] = True,
    resume: Annotated[Path | None, Parameter(help="folder of an interrupted run of the same settings")] = None,
    seed: Seed = 0,
    world_file: WorldFile = None,
    world: WorldOptions | None = None,
    output: Annotated[Path | None, Parameter(help="folder for checkpoint, weights, trace and result")] = None,
    json: Json = False,
) -> None:
    """Train two towers by gradient descent, an ensemble at a time, on this machine or under torchrun.

    Example: soberclip train --loss infonce --steps 2000 --ensemble 3 --mu-spu 2 --dim-image 2 --dim-text 2
    """
    from experiments.command.screens.synthetic import accuracy_table
    from experiments.lab import runfolder
    from experiments.lab.recipes import recipe_from
    from experiments.lab.train import train as run
    from experiments.lab.worlds import world_from

    settings = world_from(world_file, given(world))
    recipe = recipe_from(given(training))
    free_output(output, "train", runfolder.FILES)
    going_on = "compiling the step (--no-compile starts sooner) and training" if compile else "training"
    with doing(going_on):
        document = run(
            recipe,
            settings,
            models=ensemble,
            seed=seed,
            prompt=prompt,
            mitigate=mitigate,
            device=device,
            draw_on=draw_on,
            compile=compile,
            output=output,
            resume=resume,
            report=say,
            until=until,
            share_out=True,
        )
    if document is not None:  # rank 0 of torchrun, or the only process
        emit(document, json, accuracy_table)


def show(
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"], help=".png, .svg or .pdf [default: the world file's name with .png, or world.png]"
        ),
    ] = None,
    seed: Seed = 0,
    world_file: WorldFile = None,
    world: WorldOptions | None = None,
    json: Json = False,
) -> None:
    """Draw a world: a contact sheet of pixels with their captions, or the latents of Gaussian views.

    Example: soberclip show --mu-spu 2 --sigma-xi 0
    """
    from experiments.command.screens.synthetic import shown
    from experiments.errors import checked_seed
    from experiments.lab.worlds import world_from
    from experiments.page.plot.written import target, write_figure
    from experiments.page.show import picture_of

    settings = world_from(world_file, given(world))
    beside = Path("world.png") if world_file is None else world_file.with_suffix(".png")
    path = target(beside if output is None else output, "show")
    figure, document = picture_of(settings, checked_seed(seed))
    write_figure(figure, path, "show")
    emit({"verb": "show", "output": str(path), **document}, json, shown)


def _learner(name: str, prompt: str | None, embed_dim: int | None) -> Learner:
    try:
        return named(name, prompt=prompt, embed_dim=embed_dim)
    except ValueError as error:
        option, _, rest = str(error).partition(" ")
        raise RequestError(f"--{option.replace('_', '-')} {rest}") from None

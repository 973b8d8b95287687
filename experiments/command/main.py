"""The command line: parse, call, print. With --json one JSON document goes to stdout and all else to stderr.

Exit status 0 done (whatever the verdicts), 1 a run failed, 2 the request was wrong, 130 interrupted.
Verbs import what they need when they run, so that --help and linear `predict` start without torch or scipy.stats.
"""

import json
import os
import sys
from dataclasses import asdict, make_dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    Group,
    Parameter,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from experiments.errors import RequestError, RunError, SoberclipError, checked_seed, nearest
from simulator.quantities import quantity_of
from simulator.towers.recipe import Recipe
from simulator.world import World


def _integer(_type: Any, tokens: Any) -> int:
    """An integer, also as 1e12; fractions are refused rather than rounded."""
    text = tokens[0].value
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a whole number; 1000 and 1e3 are") from None
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError(f"{text} is not a whole number; 1000 and 1e3 are")
    return int(number)


def _real(_type: Any, tokens: Any) -> float:
    """A float; pydantic checks its domain after the merge with a world file."""
    try:
        return float(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is not a number") from None


Whole = Annotated[int, Parameter(converter=_integer)]
_WORLD_GROUP = Group("World", sort_key=1)


def _flag(name: str, hint: Any) -> tuple[Any, None]:
    kind, converter = (int, _integer) if hint.__origin__ is int else (float, _real)
    note = f"{quantity_of(hint).meaning} [default: {World.model_fields[name].default:g}]"
    return Annotated[
        kind | None, Parameter(help=note, group=_WORLD_GROUP, show_default=False, converter=converter)
    ], None


# One flag per field of World; unset ones stay unset, so that a file shows through. Attributes have no flags.
_hints = {name: hint for name, hint in get_type_hints(World, include_extras=True).items() if name != "attribute"}
WorldFlags = make_dataclass(
    "WorldFlags",
    [(name, *_flag(name, hint)) for name, hint in _hints.items()],
    kw_only=True,
    namespace={"__module__": __name__},  # cyclopts reads no fields of a class that claims to be a built-in
)
WorldOptions = Annotated[WorldFlags, Parameter(name="*")]
WorldFile = Annotated[
    Path | None,
    Parameter(name="--world", group=_WORLD_GROUP, help="TOML file with a world's fields; flags override it"),
]
Json = Annotated[bool, Parameter(negative="", help="print one JSON document on stdout")]
Output = Annotated[Path | None, Parameter(help="folder for result.json and world.toml, made if need be")]
Seed = Annotated[Whole, Parameter(help="root of every random stream")]
PromptFlag = Annotated[
    Literal["name", "mean"] | None,
    Parameter(help="class prompt: its name alone, or its mean caption [default: name]", show_default=False),
]
EmbedDim = Annotated[
    int | None, Parameter(converter=_integer, help="embedding width of the towers; absent: wide enough for all")
]

_TRAINING_GROUP = Group("Training", sort_key=0)


def _training_flag(name: str, field: Any) -> tuple[Any, None]:
    kind = next((t for t in (int, float, str) if isinstance(field.default, t)), {"n": int}.get(name, float))
    default = "" if field.default is None else f" [default: {field.default}]"
    parameter = Parameter(help=field.description + default, group=_TRAINING_GROUP, show_default=False)
    if get_origin(field.annotation) is Literal:
        return Annotated[field.annotation | None, parameter], None
    converter = Parameter(converter=_integer if kind is int else _real)
    return Annotated[kind | None, parameter, converter], None


TrainingFlags = make_dataclass(
    "TrainingFlags",
    [(name, *_training_flag(name, field)) for name, field in Recipe.model_fields.items()],
    kw_only=True,
    namespace={"__module__": __name__},
)
TrainingOptions = Annotated[TrainingFlags, Parameter(name="*")]

app = App(
    name="soberclip",
    help="Does a CLIP-style objective learn the animal or the background? Worlds, theory, training and a judge.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main() says what was kept
)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("soberclip")
    except PackageNotFoundError:
        return "not installed"


app.version = _version
app.register_install_completion_command(help="Install completion for the shell in use (bash, zsh, fish).")


def _world(file: Path | None, flags: Any) -> World:
    from experiments.lab.worlds import world_from

    given = {} if flags is None else {name: value for name, value in asdict(flags).items() if value is not None}
    return world_from(file, given)


def _subject(learner: str, prompt: str | None, embed_dim: int | None):
    from theory.claims.claim import Subject

    if learner in ("linear", "infonce"):
        prompt = prompt or "name"
    elif prompt is not None:
        raise RequestError(
            f"--prompt = {prompt} has no meaning for learner {learner!r}, which sees no text; leave it out"
        )
    if embed_dim is not None and learner != "linear":
        raise RequestError(f"--embed-dim = {embed_dim} has no meaning for learner {learner!r}; leave it out")
    if embed_dim is not None and embed_dim < 1:
        raise RequestError(f"--embed-dim = {embed_dim} is below 1; the nearest valid value is 1")
    return Subject(learner, prompt, embed_dim)


def emit(document: Any, as_json: bool, table, output: Path | None = None, world: World | None = None) -> None:
    """Write the result's folder if asked, then print it: JSON on stdout, or a table for people."""
    if output is not None:
        from experiments.files import output_folder, write_json, write_text
        from experiments.lab.worlds import world_toml

        folder = output_folder(output)
        if world is not None:
            write_text(folder / "world.toml", world_toml(world))
        write_json(folder / "result.json", document)
    if as_json:
        print(json.dumps(document, allow_nan=False))
    else:
        from rich.console import Console

        Console().print(table(document))


def checked_output(output: Path | None) -> None:
    """Refuse an unusable output folder before the work rather than after it."""
    if output is not None:
        from experiments.files import output_folder

        output_folder(output)


@app.command
def predict(
    *,
    learner: Annotated[
        Literal["linear", "infonce", "logistic", "least-squares", "bayes"], Parameter(help="what is trained")
    ] = "linear",
    prompt: PromptFlag = None,
    embed_dim: EmbedDim = None,
    world_file: WorldFile = None,
    world: WorldOptions | None = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Accuracy on the common and the counter group at n = infinity, by theory.

    Example: soberclip predict --p-spu 0.99 --mu-spu 2 --sigma-xi 0
    """
    from experiments.command.screens import accuracy_table
    from experiments.lab.answers import predict as run

    settings = _world(world_file, world)
    document = run(settings, _subject(learner, prompt, embed_dim))
    emit(document, json, accuracy_table, output, settings)


@app.command
def simulate(
    *,
    n: Annotated[Whole, Parameter(help="pairs to train on, 2 to 1e12")] = 10_000,
    replicates: Annotated[Whole, Parameter(help="independent trainings")] = 100,
    method: Annotated[
        Literal["exact", "direct"] | None,
        Parameter(help="exact law of the trained model, or pairs drawn one by one [default: exact if there is one]"),
    ] = None,
    learner: Annotated[Literal["linear", "logistic", "max-margin"], Parameter(help="what is trained")] = "linear",
    prompt: PromptFlag = None,
    embed_dim: EmbedDim = None,
    seed: Seed = 0,
    world_file: WorldFile = None,
    world: WorldOptions | None = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Train linear CLIP (or a supervised rule) on n pairs, many times, and measure both groups.

    Example: soberclip simulate --n 1e6 --replicates 200 --mu-spu 2
    """
    from experiments.command.screens import accuracy_table
    from experiments.lab.answers import simulate as run

    if learner != "linear" and method == "exact":
        raise RequestError(f"--method exact is not known for learner {learner!r}; the nearest choice is direct")
    method = method or ("exact" if learner == "linear" else "direct")
    settings = _world(world_file, world)
    subject = _subject(learner, prompt, embed_dim)
    checked_output(output)
    document = run(settings, subject, n, replicates, method, seed)
    emit(document, json, accuracy_table, output, settings)


@app.command
def train(
    *,
    training: TrainingOptions | None = None,
    ensemble: Annotated[Whole, Parameter(help="models trained at once, each with its own streams")] = 1,
    prompt: PromptFlag = None,
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
    from experiments.command.screens import accuracy_table
    from experiments.lab.train import recipe_from, to_stderr
    from experiments.lab.train import train as run

    settings = _world(world_file, world)
    recipe = recipe_from({} if training is None else {k: v for k, v in asdict(training).items() if v is not None})
    document = run(
        recipe,
        settings,
        models=ensemble,
        seed=seed,
        prompt=prompt,
        device=device,
        draw_on=draw_on,
        compile=compile,
        output=output,
        resume=resume,
        report=to_stderr,
    )
    if document is not None:  # rank 0 of torchrun, or the only process
        emit(document, json, accuracy_table)


@app.command
def claims(*, json: Json = False) -> None:
    """The claims on trial, with source and statement.

    Example: soberclip claims
    """
    from experiments.command.screens import claims_table
    from experiments.court.docket import docket

    document = [{"claim": t.id, "source": t.source, "statement": t.statement} for t in docket()]
    emit(document, json, claims_table)


@app.command
def check(
    *ids: Annotated[str, Parameter(help="claims or families of claims; all if none is named")],
    quick: Annotated[
        bool, Parameter(negative="", help="audit 4 points instead of 32; show stored verdicts on long trainings")
    ] = False,
    error_rate: Annotated[
        float | None, Parameter(help="probability of a false verdict [default: the claim's own, .01]")
    ] = None,
    claims: Annotated[
        Path | None, Parameter(help="Python file that defines claims of your own; it is executed")
    ] = None,
    seed: Seed = 0,
    output: Output = None,
    json: Json = False,
) -> None:
    """Put claims on trial: supported, contradicted or undecided, with the evidence.

    Example: soberclip check wang-lemma-d3 corrected-law --quick
    """
    from experiments.command.screens import verdict_table
    from experiments.court.docket import chosen, claims_of_file, docket, trial_of, try_all

    if error_rate is not None and not 0 < error_rate < 1:
        raise RequestError(f"--error-rate = {error_rate} lies outside (0, 1); .01 is usual")
    checked_seed(seed)
    available = docket() if claims is None else [trial_of(claim) for claim in claims_of_file(claims)]
    selected = chosen(ids, available)
    checked_output(output)
    document = try_all(selected, seed=seed, quick=quick, error_rate=error_rate, output=output)
    emit(document, json, verdict_table)


@app.command
def reproduce(
    *,
    output: Annotated[Path, Parameter(help="folder for report.html, figures and verdicts; replaced as a whole")] = Path(
        "soberclip-report"
    ),
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """The main job: every claim on trial (--quick), the figures, and one report.html that opens offline.

    Example: soberclip reproduce --output soberclip-report
    """
    from experiments.command.screens import verdict_table
    from experiments.page.reproduce import reproduce as run

    document = run(output, checked_seed(seed))
    emit(document, json, verdict_table)
    print(f"report: {output / 'report.html'}", file=sys.stderr)


# Named rather than imported: it imports this module, and no other verb pays for it.
app.command(
    "experiments.command.counteranimal:app",
    name="counteranimal",
    help="Real CLIP and ImageNet models on real photos, and the published tables on trial.",
)


def _sentence(error: CycloptsError) -> str:
    """A parser's complaint in our words, with the nearest choice where a name was wrong."""
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, UnknownOptionError):
        token = error.token.keyword or error.token.value
        options = [name for argument in error.argument_collection or [] for name in argument.names]
        return f"option {token} is unknown; the nearest is {nearest(token, options)}"
    if isinstance(error, UnusedCliTokensError):
        return f"{' '.join(error.unused_tokens)!r} belongs to no option; every setting is a flag such as --p-spu 0.9"
    if isinstance(error, UnknownCommandError):
        token = error.unused_tokens[0]
        verbs = [name for name in error.app if not name.startswith("-")] if error.app else []
        return f"verb {token!r} is unknown; the nearest is {nearest(token, verbs)}"
    if isinstance(error, CoercionError) and error.argument is not None and error.token is not None:
        choices = list(error.argument.get_choices() or ())
        if choices:
            return (
                f"{error.argument.name} = {error.token.value!r} is not one of {', '.join(choices)}; "
                f"the nearest is {nearest(error.token.value, choices)}"
            )
    return text


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status; errors become one sentence on stderr."""
    try:
        app(
            sys.argv[1:] if arguments is None else arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        return 0
    except CycloptsError as error:
        return _complain(_sentence(error), RequestError.status)
    except SoberclipError as error:
        return _complain(str(error), error.status)
    except KeyboardInterrupt:
        return _complain("interrupted; finished work is kept", 130)
    except BrokenPipeError:  # the reader of our output left; nothing is wrong
        sys.stderr.close()
        return RunError.status


def _complain(sentence: str, status: int) -> int:
    if os.environ.get("RANK", "0") == "0":  # under torchrun one process speaks for all
        print(f"soberclip: {sentence}", file=sys.stderr)
    return status

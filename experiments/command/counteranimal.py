"""`soberclip counteranimal VERB`: real models on real photos, and the paper's tables on trial.

With --json one JSON document goes to stdout and everything else to stderr. What a verb needs is imported when it
runs, so that --help costs nothing.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from experiments.command.options import Json, Seed, Whole, real
from experiments.command.output import checked_output, emit, note
from experiments.errors import RequestError

app = App(name="counteranimal", help_format="plaintext")  # described where it is registered

Data = Annotated[
    Path,
    Parameter(
        help="photos: the folder that holds the class folders, a CSV file (path, class, group or background), "
        "tar shards, or a Hugging Face data set saved on disk"
    ),
]
Groups = Annotated[
    str,
    Parameter(
        help="which backgrounds are common and which counter: prefix (the folders or the column group say it), a CSV "
        "file (background, group, perhaps class), or each (no groups, every background by itself)"
    ),
]
Classes = Annotated[
    Path | None,
    Parameter(
        help="classes of your own in place of ImageNet's: a class a line, or CSV columns class, name, prompt",
        show_default=False,
    ),
]
Labels = Literal["1000", "20", "45", "own"]
MeanFlag = Annotated[Literal["macro", "micro"], Parameter(help="mean over classes (the paper's tables) or over photos")]
Model = Annotated[
    list[str],
    Parameter(
        negative="",
        help="open_clip:NAME[/TAG], torchvision:NAME[/WEIGHTS], timm:NAME[.TAG], hf:FOLDER or hf:ORG/NAME "
        "(CLIP, SigLIP and their kin of transformers), lvlm:FOLDER or lvlm:ORG/NAME (LLaVA, Qwen-VL and their kin; "
        "evaluate only), python:FILE.py (its model(), of your own), or published:MODEL for the checkpoint behind a "
        "row of the paper's Table 3; may be repeated",
    ),
]
Weights = Annotated[
    list[Path],
    Parameter(
        negative="",
        allow_leading_hyphen=True,
        help="weights file of each --model in turn, - for a model that has none",
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a model is loaded and asked; options of every verb that runs one."""

    prompts: Annotated[str, Parameter(help="simple, openai80, or a file with a template a line")] = "simple"
    class_names: Annotated[str, Parameter(help="open_clip, torchvision, or a file with a name a line")] = "open_clip"
    classes: Classes = None
    device: Annotated[str, Parameter(help="cpu, cuda, cuda:1, mps")] = "cpu"
    batch_size: Annotated[Whole, Parameter(help="photos a forward pass; of an lvlm: labels")] = 64
    workers: Annotated[
        Whole | None, Parameter(help="decoding processes [default: cores - 1, 8 at most]", show_default=False)
    ] = None
    precision: Annotated[Literal["fp32", "bf16", "fp16"], Parameter(help="of the forward pass (autocast)")] = "fp32"
    quick_gelu: Annotated[
        Literal["auto", "on", "off"], Parameter(help="activation of CLIPs; auto takes the one of the tag")
    ] = "auto"
    trust_pickle: Annotated[bool, Parameter(negative="", help="run code stored in a weights file")] = False
    ema: Annotated[
        bool | None,
        Parameter(
            help="the running mean of a classifier's weights, where its --weights file holds both", show_default=False
        ),
    ] = None
    cache: Annotated[
        Path | None, Parameter(help="folder of image features [default: the user's cache folder]", show_default=False)
    ] = None


@app.command
def inspect(
    data: Data,
    /,
    *,
    groups: Groups = "prefix",
    classes: Classes = None,
    output: Path | None = None,
    json: Json = False,
) -> None:
    """Parse a data set: classes, groups and backgrounds with their counts, unreadable photos, strays.

    Example: soberclip counteranimal inspect LAION-final
    """
    from experiments.command.screens.counteranimal import inspection_view
    from experiments.counteranimal.inspection import inspect as run
    from experiments.counteranimal.labels import own_vocabulary

    checked_output(output)
    document = run(data, output, groups, None if classes is None else own_vocabulary(classes))
    emit(document, json, inspection_view)
    if document["counteranimal"] and (document["n_common"], document["n_counter"]) != (
        document["published_n_common"],
        document["published_n_counter"],
    ):
        note("counts differ from the published ones, which do not add up themselves; results state their own")


@app.command
def evaluate(
    *,
    data: Data | None = None,
    model: Model | None = None,
    weights: Weights | None = None,
    models: Annotated[
        str | None,
        Parameter(help="several at once: table-3 for the paper's 28 CLIPs, or a file whose lines are MODEL [WEIGHTS]"),
    ] = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="only say what would be loaded and what the paper prints for it")
    ] = False,
    groups: Groups = "prefix",
    labels: Annotated[
        Labels | None,
        Parameter(
            help="labels that compete: all 1000 of ImageNet, 20 confusing ones a class, 45 for those in the data, "
            "own (all in --classes) [default: 1000, or own]",
            show_default=False,
        ),
    ] = None,
    confusing: Annotated[Path | None, Parameter(help="1 vs 20: sets saved by an earlier run")] = None,
    reference: Annotated[
        str | None,
        Parameter(help="1 vs 20: model whose confusions make the sets [default: the paper's]", show_default=False),
    ] = None,
    reference_weights: Annotated[Path | None, Parameter(help="weights file of the reference model")] = None,
    strict: Annotated[bool, Parameter(negative="", help="fail at the first photo that cannot be read")] = False,
    scoring: Scoring = Scoring(),
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for predictions, class accuracies and summary")] = Path(
        "soberclip-counteranimal"
    ),
    json: Json = False,
) -> None:
    """Score models on the photos, one after another; features are kept, so that no photo is passed twice.

    Example: soberclip counteranimal evaluate --data LAION-final --model open_clip:ViT-B-32/openai
    """
    from experiments.command.screens.counteranimal import expected_view, summary_view

    _extra()
    from experiments.counteranimal.evaluation import Evaluation, run
    from experiments.counteranimal.model_config import ModelConfig
    from experiments.counteranimal.model_lists import combined, expected

    specs, files = combined(model, weights, models)
    config = ModelConfig(models=specs, weights=files, language=True, **asdict(scoring))
    if dry_run:
        emit(expected(config, labels or config.vocabulary.every_label.name), json, expected_view)
        return
    if data is None:
        raise RequestError("evaluate needs photos; name them with --data, or pass --dry-run to see the models alone")
    request = Evaluation(
        data=data,
        models=config,
        groups=groups,
        labels=labels,
        confusing=confusing,
        reference=reference,
        reference_weights=reference_weights,
        strict=strict,
        seed=seed,
        output=output,
    )
    emit(run(request, note), json, summary_view)


@app.command
def score(
    *predictions: Annotated[Path, Parameter(help="CSV with columns class_index, group, predicted_index")],
    name: Annotated[str | None, Parameter(help="name of the model [default: the file's]", show_default=False)] = None,
    family: Annotated[str, Parameter(help="models that share a line in a plot, as CLIP, ImageNet, LVLM")] = "LVLM",
    labels: Annotated[Labels, Parameter(help="label space the predictions chose from")] = "1000",
    classes: Classes = None,
    prompts: Annotated[str, Parameter(help="prompts they were made with, for the standing")] = "simple",
    seed: Seed = 0,
    output: Path | None = None,
    json: Json = False,
) -> None:
    """Metrics, intervals and standing for predictions made elsewhere.

    Example: soberclip counteranimal score answers.csv --name LLaVA --labels 20
    """
    from experiments.command.screens.counteranimal import summary_view
    from experiments.counteranimal.labels import own_vocabulary
    from experiments.counteranimal.summaries import score_files

    documents = score_files(
        predictions,
        name=name,
        family=family,
        labels=labels,
        classes=None if classes is None else own_vocabulary(classes),
        prompts=prompts,
        seed=seed,
        output=output,
    )
    emit(documents, json, summary_view)


@app.command
def published(*, output: Path | None = None, json: Json = False) -> None:
    """The paper's tables: claims judged from them, and what does not add up. JSON also holds every figure.

    Example: soberclip counteranimal published
    """
    from experiments.command.screens.counteranimal import published_view
    from experiments.published.dossier import dossier, write_dossier

    checked_output(output)
    document = dossier()
    if output is not None:
        write_dossier(output, document)
    emit(document, json, published_view)


@app.command
def compare(
    *results: Annotated[
        str, Parameter(help="folders or JSON files of results, published, published:MODEL, published-since")
    ],
    mean: MeanFlag = "macro",
    labels: Annotated[Labels, Parameter(help="label space of the published rows")] = "1000",
    prompts: Annotated[Literal["simple", "openai80"], Parameter(help="prompts of the published rows")] = "simple",
    reference: Annotated[
        str | None,
        Parameter(help="family whose line robustness is measured from [default: ImageNet]", show_default=False),
    ] = None,
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for comparison.html, .svg, .pdf, .png, .csv and .json")] = Path(
        "soberclip-comparison"
    ),
    json: Json = False,
) -> None:
    """Any mix of own results and published rows in one plot, with effective robustness and paired classes.

    Example: soberclip counteranimal compare published my-results
    """
    from experiments.command.screens.counteranimal import comparison_view
    from experiments.counteranimal.robustness import compare as run
    from experiments.counteranimal.robustness import gather

    found = gather(results, mean, labels, prompts)
    checked_output(output)
    document = run(found, reference, seed)
    from experiments.counteranimal.report import write_comparison

    figure = write_comparison(output, found, document, seed)
    emit(document, json, comparison_view)
    note(f"figure: {figure}")


@app.command
def discover(
    *,
    data: Annotated[Path, Parameter(help="folder class/background/photos")],
    model: Annotated[str, Parameter(help="the model whose accuracies choose the backgrounds")],
    weights: Annotated[Path | None, Parameter(help="its weights file")] = None,
    min_photos: Annotated[Whole, Parameter(help="photos that a background needs to be considered")] = 20,
    scoring: Scoring = Scoring(),
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for tree, discovered.csv and .json")] = Path("soberclip-discovered"),
    json: Json = False,
) -> None:
    """Build a CounterAnimal of your own, and say how much of its drop is the choice of the extremes.

    Example: soberclip counteranimal discover --data photos --model torchvision:resnet50
    """
    from experiments.command.screens.counteranimal import discovery_view

    _extra()
    from experiments.counteranimal.discovery import Discovery, run
    from experiments.counteranimal.model_config import ModelConfig

    config = ModelConfig(models=[model], weights=None if weights is None else [weights], **asdict(scoring))
    request = Discovery(data=data, model=config, min_photos=min_photos, seed=seed, output=output)
    emit(run(request, note), json, discovery_view)


@app.command
def compose(
    *,
    objects: Annotated[Path, Parameter(help="folder class/cut-out.png, PNGs with transparency")],
    backgrounds: Annotated[Path, Parameter(help="folder background/photo, or of photos, each its own background")],
    common: Annotated[
        list[str],
        Parameter(
            negative="",
            help="CLASS=BACKGROUND, or a file of such lines: what is common for a class, all others being counter; "
            "may be repeated, and every class needs one",
        ),
    ],
    size: Annotated[Whole, Parameter(help="pixels of a side")] = 224,
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder of the tree and of composites.csv, which evaluate reads")] = Path(
        "soberclip-composites"
    ),
    json: Json = False,
) -> None:
    """Put every object on every background, at one scale and place, so that only the background differs.

    Example: soberclip counteranimal compose --objects animals --backgrounds scenes --common ostrich=desert
    """
    from experiments.command.screens.counteranimal import composition_view

    _extra("PIL")
    from experiments.counteranimal.compose import run
    from experiments.counteranimal.factorial import Composition

    request = Composition(objects=objects, backgrounds=backgrounds, common=common, size=size, seed=seed, output=output)
    emit(run(request), json, composition_view)


@app.command
def law(
    *,
    data: Data,
    model: Model,
    weights: Weights | None = None,
    groups: Groups = "prefix",
    labels: Annotated[
        Literal["data", "all"],
        Parameter(help="labels that compete: those of the photos' classes, or all of ImageNet or --classes"),
    ] = "data",
    tolerance: Annotated[
        float, Parameter(converter=real, help="accuracy by which the law may be off and still be said to hold")
    ] = 0.03,
    scoring: Scoring = Scoring(),
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for law.json, .csv, .svg, .pdf and .png")] = Path("soberclip-law"),
    json: Json = False,
) -> None:
    """Judge the theory's law on models' own embeddings: fitted on half of the photos, measured on the other half.

    Example: soberclip counteranimal law --data LAION-final --model open_clip:ViT-B-32/openai
    """
    from experiments.command.screens.law import law_view

    _extra()
    from experiments.counteranimal.law import LawRequest, run
    from experiments.counteranimal.model_config import ModelConfig

    request = LawRequest(
        data=data,
        models=ModelConfig(models=model, weights=weights, **asdict(scoring)),
        groups=groups,
        labels=labels,
        tolerance=tolerance,
        seed=seed,
        output=output,
    )
    emit(run(request, note), json, law_view)


def _extra(*modules: str) -> None:
    from importlib.util import find_spec

    for module in modules or ("PIL", "open_clip", "torchvision", "timm"):
        if find_spec(module) is None:
            raise RequestError(
                f"this needs {module}, which is not installed; in the checkout run: python -m pip install -e '.[clip]'"
            )

"""`soberclip counteranimal VERB`: real models on real photos, and the paper's tables on trial.

Functions import what they need when they run, for start-up time.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from experiments.command import counteranimal_tables as tables
from experiments.command.options import Json, Seed, Whole, real
from experiments.command.output import check_output, emit, note
from experiments.errors import RequestError

# main.py has its help text.
app = App(name="counteranimal", help_format="plaintext", default_parameter=Parameter(negative=""))

Data = Annotated[
    Path,
    Parameter(
        help="photos: the folder of the class folders, a CSV file (path, class, group or background), "
        "tar shards, or a Hugging Face data set saved on disk"
    ),
]
Groups = Annotated[
    str,
    Parameter(
        help="the group of each background: prefix (from the folders or the column group), a CSV file (background, "
        "group, optionally class), or each (no groups, every background by itself)"
    ),
]
Classes = Annotated[
    Path | None,
    Parameter(help="your own classes instead of ImageNet's: one class per line, or CSV columns class, name, prompt"),
]
Labels = Literal["1000", "20", "45", "own"]
MeanFlag = Annotated[Literal["macro", "micro"], Parameter(help="mean over classes (the paper's tables) or over photos")]
Model = Annotated[
    list[str],
    Parameter(
        help="open_clip:NAME[/TAG], torchvision:NAME[/WEIGHTS], timm:NAME[.TAG], hf:FOLDER or hf:ORG/NAME "
        "(CLIP, SigLIP and similar models of transformers), lvlm:FOLDER or lvlm:ORG/NAME (LLaVA, Qwen-VL and similar "
        "ones; evaluate only), python:FILE.py (your own model()), or published:MODEL for the checkpoint of a row of "
        "the paper's Table 3; may be repeated"
    ),
]
Weights = Annotated[
    list[Path],
    Parameter(allow_leading_hyphen=True, help="weights file of each --model in turn, - for a model without one"),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a model is loaded and run; options of every verb that runs one."""

    prompts: Annotated[str, Parameter(help="simple, openai80, or a file with one template per line")] = "simple"
    class_names: Annotated[
        Literal["open_clip", "torchvision"], Parameter(help="which library's names of ImageNet's classes prompts use")
    ] = "open_clip"
    classes: Classes = None
    device: Annotated[str, Parameter(help="cpu, cuda, cuda:1, mps")] = "cpu"
    batch_size: Annotated[Whole, Parameter(help="photos per forward pass; for an lvlm: labels")] = 64
    workers: Annotated[Whole | None, Parameter(help="decoding processes [default: cores - 1, at most 8]")] = None
    precision: Annotated[Literal["fp32", "bf16", "fp16"], Parameter(help="of the forward pass (autocast)")] = "fp32"
    quick_gelu: Annotated[
        Literal["auto", "on", "off"], Parameter(help="activation of open_clip's models; auto: that of the tag")
    ] = "auto"
    trust_pickle: Annotated[bool, Parameter(help="run code stored in a weights file")] = False
    ema: Annotated[
        bool | None,
        Parameter(help="use the running mean of a classifier's weights, if the file has both", negative="--no-ema"),
    ] = None
    cache: Annotated[Path | None, Parameter(help="folder of image features [default: the user's cache folder]")] = None


@app.command
def inspect(
    data: Data, /, *, groups: Groups = "prefix", classes: Classes = None, output: Path | None = None, json: Json = False
) -> None:
    """Parse a data set: classes, groups and backgrounds with their counts, unreadable photos, strays.

    Example: soberclip counteranimal inspect LAION-final
    """
    from experiments.counteranimal.labels import own_vocabulary
    from experiments.counteranimal.photos import inspect as run

    check_output(output)
    document = run(data, output, groups, None if classes is None else own_vocabulary(classes))
    emit(document, json, tables.inspection_table)
    if document["counteranimal"] and (document["n_common"], document["n_counter"]) != (
        document["published_n_common"],
        document["published_n_counter"],
    ):
        note("counts differ from the published ones, which contradict each other; results state your counts")


@app.command
def evaluate(
    *,
    data: Data | None = None,
    model: Model | None = None,
    weights: Weights | None = None,
    models: Annotated[
        str | None,
        Parameter(help="several at once: table-3 for the paper's 28 CLIPs, or a file with lines MODEL [WEIGHTS]"),
    ] = None,
    dry_run: Annotated[bool, Parameter(help="only list what would be loaded and what the paper prints for it")] = False,
    groups: Groups = "prefix",
    labels: Annotated[
        Labels | None,
        Parameter(
            help="labels that compete: all 1000 of ImageNet, 20 confusing ones per class, 45 for the classes of the "
            "data (CounterAnimal has 45), own (all in --classes) [default: 1000, or own]"
        ),
    ] = None,
    confusing: Annotated[Path | None, Parameter(help="1 vs 20: sets saved by an earlier run")] = None,
    reference: Annotated[
        str | None, Parameter(help="1 vs 20: model whose confusions make the sets [default: the paper's]")
    ] = None,
    reference_weights: Annotated[Path | None, Parameter(help="weights file of the reference model")] = None,
    scoring: Scoring = Scoring(),
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for predictions, class accuracies and summary")] = Path(
        "soberclip-counteranimal"
    ),
    json: Json = False,
) -> None:
    """Score models on the photos, one after another. Features are cached: no photo passes a model twice.

    Example: soberclip counteranimal evaluate --data LAION-final --model open_clip:ViT-B-32/openai
    """
    _check_pillow()
    from experiments.counteranimal.evaluation import run
    from experiments.counteranimal.model_config import ModelConfig, combined, expected

    specs, files = combined(model, weights, models)
    config = ModelConfig(models=specs, weights=files, language=True, **asdict(scoring))
    if dry_run:
        emit(expected(config, labels or config.vocabulary.every_label.name), json, tables.expected_table)
        return
    if data is None:
        raise RequestError("evaluate needs photos; name them with --data, or pass --dry-run to list the models")
    documents = run(
        data=data,
        models=config,
        groups=groups,
        labels=labels,
        confusing=confusing,
        reference=reference,
        reference_weights=reference_weights,
        seed=seed,
        output=output,
        note=note,
    )
    emit(documents, json, tables.summary_table)


@app.command
def score(
    *predictions: Annotated[Path, Parameter(help="CSV with columns class_index, group, predicted_index")],
    name: Annotated[str | None, Parameter(help="name of the model [default: the file's]")] = None,
    family: Annotated[
        str | None, Parameter(help="models that share a line: CLIP, ImageNet, LVLM, ... [default: the model alone]")
    ] = None,
    labels: Annotated[Labels, Parameter(help="label space of the predictions")] = "1000",
    classes: Classes = None,
    prompts: Annotated[
        str, Parameter(help="prompts of the predictions, to compare them with published models")
    ] = "simple",
    seed: Seed = 0,
    output: Path | None = None,
    json: Json = False,
) -> None:
    """Metrics, intervals and rank among published models, for predictions made elsewhere.

    Example: soberclip counteranimal score answers.csv --name LLaVA --labels 20
    """
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
    emit(documents, json, tables.summary_table)


@app.command
def published(*, output: Path | None = None, json: Json = False) -> None:
    """The paper's tables: verdicts on claims, and inconsistencies. JSON also has every figure.

    Example: soberclip counteranimal published
    """
    from experiments.published.export import published_document, write_published

    check_output(output)
    document = published_document()
    if output is not None:
        write_published(output, document)
    emit(document, json, tables.published_table)


@app.command
def compare(
    *results: Annotated[
        str, Parameter(help="folders or JSON files of results, published, published:MODEL, published-since")
    ],
    mean: MeanFlag = "macro",
    labels: Annotated[Labels, Parameter(help="label space of the published rows")] = "1000",
    prompts: Annotated[Literal["simple", "openai80"], Parameter(help="prompts of the published rows")] = "simple",
    reference: Annotated[
        str | None, Parameter(help="family of the line that robustness refers to [default: ImageNet]")
    ] = None,
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for comparison.html, .svg, .pdf, .png, .csv and .json")] = Path(
        "soberclip-comparison"
    ),
    json: Json = False,
) -> None:
    """Your results and published rows in one plot, with effective robustness and paired classes.

    Example: soberclip counteranimal compare published my-results
    """
    from experiments.counteranimal.report import write_comparison
    from experiments.counteranimal.robustness import compare as run
    from experiments.counteranimal.robustness import gather

    compared = gather(results, mean, labels, prompts)
    check_output(output)
    document = run(compared, reference, seed)
    figure = write_comparison(output, compared, document, seed)
    emit(document, json, tables.comparison_table)
    note(f"figure: {figure}")


@app.command
def discover(
    *,
    data: Annotated[Path, Parameter(help="folder class/background/photos")],
    model: Annotated[str, Parameter(help="the model whose accuracies select the backgrounds")],
    weights: Annotated[Path | None, Parameter(help="its weights file")] = None,
    min_photos: Annotated[Whole, Parameter(help="least number of photos of a background")] = 20,
    scoring: Scoring = Scoring(),
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for tree, discovered.csv and .json")] = Path("soberclip-discovered"),
    json: Json = False,
) -> None:
    """Build a CounterAnimal of your own photos, with the drop before and after correction for selection.

    Example: soberclip counteranimal discover --data photos --model torchvision:resnet50
    """
    _check_pillow()
    from experiments.counteranimal.discovery import run
    from experiments.counteranimal.model_config import ModelConfig

    config = ModelConfig(models=[model], weights=None if weights is None else [weights], **asdict(scoring))
    document = run(data=data, model=config, min_photos=min_photos, seed=seed, output=output)
    emit(document, json, tables.discovery_table)


@app.command
def compose(
    *,
    objects: Annotated[Path, Parameter(help="folder class/cut-out.png, PNGs with transparency")],
    backgrounds: Annotated[Path, Parameter(help="folder background/photo, or of photos that are each a background")],
    common: Annotated[
        list[str],
        Parameter(
            help="CLASS=BACKGROUND, or a file with such lines: the common backgrounds of a class; the others are "
            "counter; may be repeated, and every class needs one"
        ),
    ],
    size: Annotated[Whole, Parameter(help="pixels per side")] = 224,
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for the photos and composites.csv; evaluate reads it")] = Path(
        "soberclip-composites"
    ),
    json: Json = False,
) -> None:
    """Put every object on every background, at one scale and place, so that only the background differs.

    Example: soberclip counteranimal compose --objects animals --backgrounds scenes --common ostrich=desert
    """
    _check_pillow()
    from experiments.counteranimal.compose import run

    document = run(objects=objects, backgrounds=backgrounds, common=common, size=size, seed=seed, output=output)
    emit(document, json, tables.composition_table)


@app.command
def law(
    *,
    data: Data,
    model: Model,
    weights: Weights | None = None,
    groups: Groups = "prefix",
    labels: Annotated[
        Literal["data", "all"],
        Parameter(help="labels that compete: the photos' classes, or all of ImageNet or --classes"),
    ] = "data",
    tolerance: Annotated[
        float, Parameter(converter=real, help="the law holds if no accuracy errs by more than this")
    ] = 0.03,
    scoring: Scoring = Scoring(),
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for law.json, .csv, .svg, .pdf and .png")] = Path("soberclip-law"),
    json: Json = False,
) -> None:
    """Test the theory's law on models' embeddings: fitted to half of the photos, measured on the other half.

    Example: soberclip counteranimal law --data LAION-final --model open_clip:ViT-B-32/openai
    """
    _check_pillow()
    from experiments.counteranimal.law import run
    from experiments.counteranimal.model_config import ModelConfig

    models = ModelConfig(models=model, weights=weights, **asdict(scoring))
    settings = {"groups": groups, "labels": labels, "tolerance": tolerance, "seed": seed}
    emit(run(data=data, models=models, **settings, output=output, note=note), json, tables.law_table)


def _check_pillow() -> None:
    """Raise RequestError without the library that decodes photos; each kind of model names the library it needs."""
    from importlib.util import find_spec

    if find_spec("PIL") is None:
        raise RequestError(
            "photos need Pillow, which is not installed; in the checkout run: python -m pip install -e '.[clip]'"
        )

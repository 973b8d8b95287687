"""`soberclip counteranimal VERB`: real models on real photos, and the paper's tables on trial.

With --json one JSON document goes to stdout and everything else to stderr. What a verb needs is imported when it
runs, so that --help costs nothing.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from experiments.command.words import Json, Seed, Whole, checked_output, emit
from experiments.errors import RequestError, RunError, checked_seed
from experiments.files import write_atomically, write_json
from experiments.progress import counting

app = App(
    name="counteranimal",
    help="Score real CLIP and ImageNet models on CounterAnimal, and audit the published tables.",
    help_format="plaintext",
)

REFERENCE = "open_clip:ViT-B-32/laion400m_e31"  # whose confusions [W] uses for 1 vs 20

Data = Annotated[Path, Parameter(help="folder of the data set, the one that holds the class folders")]
Labels = Literal["1000", "20", "45"]
MeanFlag = Annotated[Literal["macro", "micro"], Parameter(help="mean over classes (the paper's tables) or over photos")]
Model = Annotated[
    list[str],
    Parameter(
        negative="",
        help="open_clip:NAME[/TAG], torchvision:NAME[/WEIGHTS], timm:NAME[.TAG] or hf:FOLDER; may be repeated",
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
    device: Annotated[str, Parameter(help="cpu, cuda, cuda:1, mps")] = "cpu"
    batch_size: Annotated[Whole, Parameter(help="photos a forward pass")] = 64
    workers: Annotated[
        Whole | None, Parameter(help="decoding processes [default: cores - 1, 8 at most]", show_default=False)
    ] = None
    precision: Annotated[Literal["fp32", "bf16", "fp16"], Parameter(help="of the forward pass (autocast)")] = "fp32"
    quick_gelu: Annotated[
        Literal["auto", "on", "off"], Parameter(help="activation of CLIPs; auto takes the one of the tag")
    ] = "auto"
    trust_pickle: Annotated[bool, Parameter(negative="", help="run code stored in a weights file")] = False
    cache: Annotated[
        Path | None, Parameter(help="folder of image features [default: the user's cache folder]", show_default=False)
    ] = None


@app.command
def inspect(data: Data, /, *, output: Path | None = None, json: Json = False) -> None:
    """Parse a data set: counts beside the published ones, unreadable photos, strays.

    Example: soberclip counteranimal inspect LAION-final
    """
    from experiments.command.views import inspection_view
    from experiments.counteranimal.dataset import inspection, read_tree, unreadable

    checked_output(output)
    tree = read_tree(data)
    with counting("decoding", len(tree.photos), "photos/s") as advance:
        document = inspection(tree, unreadable(tree, lambda: advance(1)))
    if output is not None:
        write_json(output / "inspection.json", document)
    emit(document, json, inspection_view)
    if (document["n_common"], document["n_counter"]) != (
        document["published_n_common"],
        document["published_n_counter"],
    ):
        _note("counts differ from the published ones, which do not add up themselves; results state their own")


@app.command
def evaluate(
    *,
    data: Data,
    model: Model,
    weights: Weights | None = None,
    labels: Annotated[
        Labels, Parameter(help="all ImageNet names, 20 confusing ones a class, or the own classes")
    ] = "1000",
    confusing: Annotated[Path | None, Parameter(help="1 vs 20: sets saved by an earlier run")] = None,
    reference: Annotated[str, Parameter(help="1 vs 20: model whose confusions make the sets")] = REFERENCE,
    reference_weights: Annotated[Path | None, Parameter(help="weights file of the reference model")] = None,
    strict: Annotated[bool, Parameter(negative="", help="fail if a photo cannot be read")] = False,
    scoring: Scoring = Scoring(),
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for predictions, class accuracies and summary")] = Path(
        "soberclip-counteranimal"
    ),
    json: Json = False,
) -> None:
    """Score models on the photos; several models share the decoded images, features are cached.

    Example: soberclip counteranimal evaluate --data LAION-final --model open_clip:ViT-B-32/openai
    """
    from experiments.command.views import summary_view
    from experiments.counteranimal.cache import cache_folder
    from experiments.counteranimal.dataset import read_tree
    from experiments.counteranimal.labels import class_names as read_names
    from experiments.counteranimal.labels import digest, load_confusing, own_classes, save_confusing, templates

    _extra()
    checked_seed(seed)
    files = _weights_of(model, weights)
    tree = read_tree(data)
    names, texts = read_names(scoring.class_names), templates(scoring.prompts)
    if confusing is not None and labels != "20":
        raise RequestError(f"--confusing goes with --labels 20, not {labels}; leave it out or pass --labels 20")
    from experiments.counteranimal.encoding import Runtime, encode_photos
    from experiments.counteranimal.evaluation import confusing_space, predict, scorer
    from experiments.counteranimal.labels import LabelSpace
    from experiments.counteranimal.models import load_model

    runtime = Runtime(scoring.device, scoring.precision, scoring.batch_size, _workers(scoring.workers))
    loaded = [
        load_model(m, f, _gelu_for(m, scoring.quick_gelu), scoring.trust_pickle)
        for m, f in zip(model, files, strict=True)
    ]
    space = LabelSpace("1000")
    if labels == "45":
        space = own_classes(list(tree.classes))
    elif labels == "20" and confusing is not None:
        space = load_confusing(confusing, scoring.class_names, names, sorted(tree.classes))
    elif labels == "20":
        loaded.append(load_model(reference, reference_weights, "auto", scoring.trust_pickle))
    checked_output(output)
    store = cache_folder(scoring.cache)
    began = perf_counter()
    with counting("encoding", len(tree.photos), "photos/s") as advance:
        encoded = encode_photos(tree, loaded, store, runtime, advance)
    seconds = perf_counter() - began
    if strict and encoded[0].unreadable:
        path, reason = next(iter(encoded[0].unreadable.items()))
        raise RunError(f"{len(encoded[0].unreadable)} photos cannot be read, the first is {path!r} ({reason})")
    clips = sum(m.encode_text is not None for m in loaded)
    with counting("prompts", clips * len(set(names)), "names/s") as advance:
        scorers = [scorer(m, names, texts, runtime, store, advance) for m in loaded]
    if labels == "20" and confusing is None:
        space = confusing_space(tree, encoded[-1], scorers[-1])
        origin = {"model": reference, "weights_hash": loaded[-1].settings["weights_hash"], "prompts": scoring.prompts}
        save_confusing(output / "confusing.json", space, scoring.class_names, names, origin)
    documents = []
    for one, features, score, folder in zip(loaded, encoded, scorers, _folders(output, model), strict=False):
        predictions = predict(tree, features, score, space)
        settings = {
            "prompts": scoring.prompts if one.family == "CLIP" else None,
            "class_names": scoring.class_names if one.family == "CLIP" else None,
            "class_names_digest": digest(names) if one.family == "CLIP" else None,
            "labels": labels,
            "label_sets": {"truth_added": list(space.added), **space.settings},
            "device": scoring.device,
            "precision": scoring.precision,
            "batch_size": scoring.batch_size,
            "workers": runtime.workers,
            "data": str(data),
            "strict": strict,
            **one.settings,
            "skipped": [{"path": p, "reason": r} for p, r in features.unreadable.items()],
            "image_passes": features.passes,
            "seconds": round(seconds, 3),
        }
        documents.append(_summarise("evaluate", one.spec, one.family, predictions, settings, folder, seed))
        for shard in features.cache.damaged:
            _note(f"a damaged cache shard was ignored and its photos computed again: {shard}")
    if space.name == "20":
        _note(
            f"1 vs 20 is an oracle label space; the true label had to be added for {len(space.added)} of "
            f"{len(space.allowed or {})} classes"
        )
    emit(documents, json, summary_view)


@app.command
def score(
    *predictions: Annotated[Path, Parameter(help="CSV with columns class_index, group, predicted_index")],
    name: Annotated[str | None, Parameter(help="name of the model [default: the file's]", show_default=False)] = None,
    family: Annotated[str, Parameter(help="models that share a line in a plot, as CLIP, ImageNet, LVLM")] = "LVLM",
    labels: Annotated[Labels, Parameter(help="label space the predictions chose from")] = "1000",
    prompts: Annotated[str, Parameter(help="prompts they were made with, for the standing")] = "simple",
    seed: Seed = 0,
    output: Path | None = None,
    json: Json = False,
) -> None:
    """Metrics, intervals and standing for predictions made elsewhere.

    Example: soberclip counteranimal score answers.csv --name LLaVA --labels 20
    """
    from experiments.command.views import summary_view
    from experiments.counteranimal.predictions import read_predictions

    checked_seed(seed)
    if not predictions:
        raise RequestError("no predictions given; name a CSV file with columns class_index, group, predicted_index")
    if name is not None and len(predictions) > 1:
        raise RequestError(
            f"--name {name!r} names one model but {len(predictions)} files are given; score them in turn"
        )
    checked_output(output)
    names = [name] if name else [path.stem if path.stem != "predictions" else path.parent.name for path in predictions]
    folders = _folders(output, names) if output is not None else [None] * len(predictions)
    documents = []
    for path, model, folder in zip(predictions, names, folders, strict=True):
        settings = {"prompts": prompts, "labels": labels, "data": str(path)}
        documents.append(_summarise(str(path), model, family, read_predictions(path), settings, folder, seed))
    emit(documents, json, summary_view)


@app.command
def published(*, output: Path | None = None, json: Json = False) -> None:
    """The paper's tables: claims judged from them, and what does not add up. JSON also holds every figure.

    Example: soberclip counteranimal published
    """
    from dataclasses import asdict

    from experiments.command.views import published_view
    from experiments.counteranimal.predictions import write_table
    from experiments.published.audit import audit
    from experiments.published.claims import judgements
    from experiments.published.tables import read_published, tidy

    checked_output(output)
    raw = read_published()
    document = {
        "table": tidy(raw),
        "audit": [asdict(finding) for finding in audit(raw)],
        "claims": [asdict(judged) | {"verdict": judged.verdict} for judged in judgements()],
    }
    if output is not None:
        for part in ("table", "audit"):
            rows = document[part]
            write_table(output / f"{part}.csv", rows[0].keys(), (row.values() for row in rows))
        write_json(output / "published.json", document)
    emit(document, json, published_view)


@app.command
def compare(
    *results: Annotated[str, Parameter(help="folders or JSON files of results, published, or published:MODEL")],
    mean: MeanFlag = "macro",
    labels: Annotated[Labels, Parameter(help="label space of the published rows")] = "1000",
    prompts: Annotated[Literal["simple", "openai80"], Parameter(help="prompts of the published rows")] = "simple",
    reference: Annotated[
        str | None,
        Parameter(help="family whose line robustness is measured from [default: ImageNet]", show_default=False),
    ] = None,
    seed: Seed = 0,
    output: Annotated[Path, Parameter(help="folder for comparison.svg, .csv and .json")] = Path("soberclip-comparison"),
    json: Json = False,
) -> None:
    """Any mix of own results and published rows in one plot, with effective robustness and paired classes.

    Example: soberclip counteranimal compare published my-results
    """
    from experiments.command.views import comparison_view
    from experiments.counteranimal.comparison import compare as run
    from experiments.counteranimal.comparison import gather
    from experiments.counteranimal.plot import comparison_figure
    from experiments.counteranimal.predictions import write_table

    checked_seed(seed)
    found = gather(results, mean, labels, prompts)
    checked_output(output)
    document = run(found, reference, seed)
    figure = comparison_figure(found, seed)
    write_atomically(
        output / "comparison.svg", lambda path: figure.savefig(path, format="svg", metadata={"Date": None})
    )
    columns = ("source", "model", "family", "mean", "labels", "common", "counter", "drop")
    axes = ("plain", "logit", "probit")
    rows = (
        [r[c] for c in columns]
        + [r["effective_robustness"][a]["value"] if r["effective_robustness"] else "" for a in axes]
        for r in document["rows"]
    )
    write_table(output / "comparison.csv", (*columns, *(f"effective_robustness_{a}" for a in axes)), rows)
    write_json(output / "comparison.json", document)
    emit(document, json, comparison_view)
    _note(f"figure: {output / 'comparison.svg'}")


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
    from experiments.command.views import discovery_view
    from experiments.counteranimal.cache import cache_folder
    from experiments.counteranimal.dataset import read_backgrounds
    from experiments.counteranimal.discovery import discover as run
    from experiments.counteranimal.discovery import link_tree
    from experiments.counteranimal.labels import class_names as read_names
    from experiments.counteranimal.labels import templates
    from experiments.counteranimal.predictions import write_table

    _extra()
    checked_seed(seed)
    tree = read_backgrounds(data)
    names, texts = read_names(scoring.class_names), templates(scoring.prompts)
    from experiments.counteranimal.encoding import Runtime, encode_photos
    from experiments.counteranimal.evaluation import predict, scorer
    from experiments.counteranimal.labels import LabelSpace
    from experiments.counteranimal.models import load_model

    runtime = Runtime(scoring.device, scoring.precision, scoring.batch_size, _workers(scoring.workers))
    if (output / "tree").exists():
        raise RequestError(f"{str(output / 'tree')!r} exists already; choose another --output or remove it")
    loaded = load_model(model, weights, scoring.quick_gelu, scoring.trust_pickle)
    checked_output(output)
    store = cache_folder(scoring.cache)
    with counting("encoding", len(tree.photos), "photos/s") as advance:
        encoded = encode_photos(tree, [loaded], store, runtime, advance)[0]
    with counting("prompts", len(set(names)), "names/s") as advance:
        score = scorer(loaded, names, texts, runtime, store, advance)
    predictions = predict(tree, encoded, score, LabelSpace("1000"))
    photos = [photo for photo in tree.photos if photo.path in encoded.keys]
    document = run(tree, photos, predictions.correct, min_photos, seed)
    document["skipped"] = [{"path": p, "reason": r} for p, r in encoded.unreadable.items()]
    document["model"] = {
        "spec": model,
        "prompts": scoring.prompts,
        "class_names": scoring.class_names,
        **loaded.settings,
    }
    document["links"] = link_tree(tree, photos, document, output / "tree")
    rows = document["classes"]
    write_table(output / "discovered.csv", rows[0].keys(), (row.values() for row in rows))
    write_json(output / "discovered.json", document)
    emit(document, json, discovery_view)


def _summarise(source, model, family, predictions, settings, folder: Path | None, seed: int) -> dict[str, Any]:
    """The summary document of one model; its three files are written if a folder is given."""
    from experiments.command.views import WORST
    from experiments.counteranimal.metrics import class_counts, summary
    from experiments.counteranimal.predictions import standing, summary_row, write_classes, write_predictions
    from experiments.provenance import provenance

    counts = class_counts(predictions)
    if not len(counts.complete.index):
        raise RequestError(f"no class of {settings['data']!r} has photos in both groups; a drop needs one at least")
    document = {"source": source, "model": model, "family": family, **summary(counts, seed), **settings, "seed": seed}
    complete = counts.complete
    drops = complete.accuracy[:, 0] - complete.accuracy[:, 1]
    document["worst_classes"] = [
        {
            "class_index": int(complete.index[i]),
            "common": float(complete.accuracy[i, 0]),
            "counter": float(complete.accuracy[i, 1]),
            "drop": float(drops[i]),
        }
        for i in (-drops).argsort(kind="stable")[:WORST]
    ]
    document["standing"] = standing(summary_row(document, "macro"), settings["prompts"] or "simple")
    document["provenance"] = provenance()
    if folder is not None:
        checked_output(folder)
        write_predictions(folder / "predictions.csv", predictions)
        write_classes(folder / "per_class.csv", counts)
        write_json(folder / "summary.json", document)
    return document


def _folders(output: Path, names: list[str]) -> list[Path]:
    """The output folder for one model, a subfolder each for several, numbered where names would collide."""
    if len(names) == 1:
        return [output]
    slugs = ["".join(c if c.isalnum() or c in "-._" else "_" for c in name) for name in names]
    return [
        output / (slug if slugs.count(slug) == 1 else f"{slug}-{slugs[: i + 1].count(slug)}")
        for i, slug in enumerate(slugs)
    ]


def _weights_of(models: list[str], weights: list[Path] | None) -> list[Path | None]:
    if weights is None:
        return [None] * len(models)
    if len(weights) != len(models):
        raise RequestError(
            f"{len(weights)} --weights are given for {len(models)} --model; give one each, - for a model without a file"
        )
    return [None if str(file) == "-" else file for file in weights]


def _gelu_for(spec: str, choice: str):
    """The activation flag speaks of the CLIPs in a call; classifiers beside them keep their own."""
    return choice if spec.startswith(("open_clip:", "hf:")) else "auto"


def _workers(choice: int | None) -> int:
    import os

    return min(8, max(1, (os.cpu_count() or 2) - 1)) if choice is None else choice


def _extra() -> None:
    from importlib.util import find_spec

    for module in ("PIL", "open_clip", "torchvision", "timm"):
        if find_spec(module) is None:
            raise RequestError(
                f"this needs {module}, which is not installed; in the checkout run: python -m pip install -e '.[clip]'"
            )


def _note(sentence: str) -> None:
    print(f"soberclip: {sentence}", file=sys.stderr)

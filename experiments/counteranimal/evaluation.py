"""Models on a tree of photos: one model of the user's own from Python, several by name from the command line."""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Literal

import torch

from experiments.counteranimal.cache import cache_folder
from experiments.counteranimal.encoding import Encoded, Precision, Runtime, encode_photos
from experiments.counteranimal.labels import (
    CLASS_COUNT,
    LabelSpace,
    Vocabulary,
    digest,
    imagenet,
    load_confusing,
    own_classes,
    own_vocabulary,
    save_confusing,
    templates,
)
from experiments.counteranimal.loaded import Activation, LoadedModel, finished
from experiments.counteranimal.metrics import Predictions
from experiments.counteranimal.models import load_model
from experiments.counteranimal.photos.groups import PREFIX
from experiments.counteranimal.photos.reading import read_tree
from experiments.counteranimal.photos.tree import Tree
from experiments.counteranimal.scoring import NO_ANSWER, Scorer, confusing_space, predict, scorer
from experiments.counteranimal.summaries import result_folders, summarise, write_result
from experiments.errors import RequestError, checked_seed
from experiments.files import output_folder
from experiments.progress import counting
from experiments.published.tables import checkpoint_spec

REFERENCE = "published:CLIP-LAION400M-ViT/B/32"  # whose confusions [W] uses for 1 vs 20


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Which models are asked and how; checked before any of them is loaded.

    `models` are specifications of `models`, or published:MODEL for the checkpoint behind a row of Table 3.
    """

    models: Sequence[str]
    weights: Sequence[Path] | None = None  # a file for each model, "-" for none
    prompts: str = "simple"
    class_names: str = "open_clip"
    classes: Path | None = None  # of one's own, in place of ImageNet's
    device: str = "cpu"
    batch_size: int = 64
    workers: int | None = None
    precision: Precision = "fp32"
    quick_gelu: Activation = "auto"
    trust_pickle: bool = False
    ema: bool | None = None
    cache: Path | None = None

    def __post_init__(self):
        if self.weights is not None and len(self.weights) != len(self.models):
            raise RequestError(
                f"{len(self.weights)} --weights are given for {len(self.models)} --model; "
                "give one each, - for a model without a file"
            )
        _ = self.specs, self.vocabulary, self.templates, self.runtime, self.store  # refused now rather than later

    @cached_property
    def specs(self) -> tuple[str, ...]:
        return tuple(checkpoint_spec(spec) for spec in self.models)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return imagenet(self.class_names) if self.classes is None else own_vocabulary(self.classes)

    @property
    def every_label(self) -> LabelSpace:
        """All labels compete."""
        return LabelSpace("1000" if self.vocabulary.imagenet else "own")

    @cached_property
    def templates(self) -> tuple[str, ...]:
        return templates(self.prompts)

    @cached_property
    def runtime(self) -> Runtime:
        workers = min(8, max(1, (os.cpu_count() or 2) - 1)) if self.workers is None else self.workers
        return Runtime(self.device, self.precision, self.batch_size, workers)

    @cached_property
    def store(self) -> Path:
        return cache_folder(self.cache)

    def load(self) -> list[LoadedModel]:
        """The models, in order. The activation flag speaks of CLIPs; classifiers beside them keep their own."""
        files = [None if str(file) == "-" else file for file in self.weights or ["-"] * len(self.models)]
        return [
            load_model(
                spec,
                file,
                self.quick_gelu if spec.startswith(("open_clip:", "hf:")) else "auto",
                self.trust_pickle,
                self.ema,
            )
            for spec, file in zip(self.specs, files, strict=True)
        ]

    def encode(self, tree: Tree, loaded: list[LoadedModel], strict: bool = False) -> tuple[list[Encoded], list[Scorer]]:
        """Features of the photos and the scorer of each model, with progress."""
        with counting("encoding", len(tree.photos), "photos/s") as advance:
            labels = len(self.vocabulary.names)
            encoded = encode_photos(tree, loaded, self.store, self.runtime, advance, strict, labels)
        clips = sum(model.encode_text is not None for model in loaded)
        distinct = len(set(self.vocabulary.phrases(self.templates)))
        with counting("prompts", clips * distinct, "names/s") as advance:
            scorers = [scorer(m, self.vocabulary, self.templates, self.runtime, self.store, advance) for m in loaded]
        return encoded, scorers

    def settings(self, model: LoadedModel) -> dict[str, Any]:
        """What a result says about how a model was asked."""
        clip = model.encode_text is not None
        return {
            "prompts": self.prompts if clip else None,
            "classes": None if self.classes is None else str(self.classes),
            "class_names": self.vocabulary.source if clip else None,
            "class_names_digest": digest(self.vocabulary.names) if clip or self.classes else None,
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "workers": self.runtime.workers,
            **model.settings,
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A request: these models on these photos against these labels, with results below `output`."""

    data: Path
    asking: Asking
    groups: str = PREFIX
    labels: Literal["1000", "20", "45", "own"] | None = None  # None: all that there are
    confusing: Path | None = None
    reference: str | None = None  # REFERENCE
    reference_weights: Path | None = None
    strict: bool = False
    seed: int = 0
    output: Path


def run(request: Evaluation, note: Callable[[str], None] = lambda sentence: None) -> list[dict[str, Any]]:
    """The summary of each model, written to its folder; `note` hears what deserves a warning.

    Raises RequestError for a wrong request, before anything is written, and RunError where the run fails.
    """
    checked_seed(request.seed)
    asking = request.asking
    _refuse_labels(request)
    tree = read_tree(request.data, request.groups, asking.vocabulary)
    space = _fixed_space(request, tree)
    loaded = asking.load()
    if space is None:
        spec = checkpoint_spec(request.reference or REFERENCE)
        reference = load_model(spec, request.reference_weights, "auto", asking.trust_pickle)
        loaded.append(reference)
    output_folder(request.output)
    began = perf_counter()
    encoded, scorers = asking.encode(tree, loaded, request.strict)
    seconds = perf_counter() - began
    if space is None:
        space = confusing_space(tree, encoded[-1], scorers[-1])
        origin = {
            "model": loaded[-1].spec,
            "weights_hash": loaded[-1].settings["weights_hash"],
            "prompts": asking.prompts,
        }
        vocabulary = asking.vocabulary
        save_confusing(request.output / "confusing.json", space, vocabulary.source, vocabulary.names, origin)
    folders = result_folders(request.output, asking.specs)
    documents = []
    for model, features, score, folder in zip(loaded, encoded, scorers, folders, strict=False):
        predictions = predict(tree, features, score, space)
        settings = asking.settings(model) | _circumstances(request, space, features, predictions, seconds)
        document, counts = summarise("evaluate", model.spec, model.family, predictions, settings, request.seed)
        write_result(folder, document, predictions, counts)
        documents.append(document)
        _warn(note, model, features, predictions)
    if space.name == "20":
        note(
            f"1 vs 20 is an oracle label space; the true label had to be added for {len(space.added)} of "
            f"{len(space.allowed or {})} classes"
        )
    return documents


def _refuse_labels(request: Evaluation) -> None:
    own = not request.asking.vocabulary.imagenet
    if request.confusing is not None and request.labels != "20":
        said = "all labels" if request.labels is None else request.labels
        raise RequestError(f"--confusing goes with --labels 20, not {said}; leave it out or pass --labels 20")
    if own and request.labels in ("1000", "45"):
        raise RequestError(f"--labels {request.labels} is of ImageNet; with --classes it is own (all of them) or 20")
    if not own and request.labels == "own":
        raise RequestError("--labels own needs --classes FILE, which says what they are")


def _fixed_space(request: Evaluation, tree: Tree) -> LabelSpace | None:
    """The labels that compete, None where a reference model has yet to choose them."""
    if request.labels == "45":
        return own_classes(list(tree.classes))
    if request.labels == "20" and request.confusing is None:
        return None
    vocabulary = request.asking.vocabulary
    if request.labels == "20":
        return load_confusing(request.confusing, vocabulary.source, vocabulary.names, sorted(tree.classes))
    return request.asking.every_label


def _circumstances(
    request: Evaluation, space: LabelSpace, features: Encoded, predictions: Predictions, seconds: float
) -> dict[str, Any]:
    """What a summary says about the run beside the model."""
    return {
        "labels": space.name,
        "label_sets": {"truth_added": list(space.added), **space.settings},
        "data": str(request.data),
        "groups": request.groups,
        "strict": request.strict,
        "skipped": [{"path": path, "reason": reason} for path, reason in features.unreadable.items()],
        "unanswered": int((predictions.predicted == NO_ANSWER).sum()),
        "image_passes": features.passes,
        "seconds": round(seconds, 3),
    }


def _warn(note: Callable[[str], None], model: LoadedModel, features: Encoded, predictions: Predictions) -> None:
    for shard in features.cache.damaged:
        note(f"a damaged cache shard was ignored and its photos computed again: {shard}")
    unanswered = int((predictions.predicted == NO_ANSWER).sum())
    if unanswered:
        note(f"{model.spec} has no finite score for {unanswered} photos; they count as wrong and are not kept")
    if model.key is None:
        note(f"{model.spec} holds code of unknown version; its features are not kept for another run")


def evaluate(
    model: Any,
    preprocess: Callable,
    tokenizer: Callable | None,
    data: Path | str | Tree,
    *,
    prompts: str = "simple",
    names: str | Sequence[str] | Vocabulary = "open_clip",
    groups: str = PREFIX,
    space: LabelSpace | None = None,
    runtime: Runtime | None = None,
    cache: Path | None = None,
) -> Predictions:
    """Predictions of any model on photos of any layout that `photos.reading.read_tree` takes.

    `metrics.summary(metrics.class_counts(...))` turns the answer into accuracies.

    Parameters
    ----------
    model
        A CLIP, with encode_image and encode_text; without a tokenizer, what maps pixels to a score of each label.
    preprocess
        Photo -> pixels.
    tokenizer
        List of strings -> token ids; None for what is no CLIP.
    data
        Folder of the photos, or its tree.
    prompts
        Name of the templates that class names are put into.
    names
        Name of the list of class names, the names themselves, or a Vocabulary of one's own classes.
    groups
        As of `photos.reading.read_tree`.
    space
        Labels to choose from; all unless given.
    runtime
        Batch size, device and precision.
    cache
        Folder that keeps features, only for models and preprocessing made of library parts: code of one's own can
        change under the same name.

    Raises
    ------
    RequestError
        For a cache with code of one's own.
    """
    vocabulary = _vocabulary(names)
    tree = data if isinstance(data, Tree) else read_tree(Path(data), groups, vocabulary)
    runtime = runtime or Runtime()
    is_clip = tokenizer is not None
    module = model if isinstance(model, torch.nn.Module) else _Unmoved()
    loaded = LoadedModel(
        type(model).__name__,
        "CLIP" if is_clip else "ImageNet",
        module,
        model.encode_image if is_clip else model,
        preprocess,
        model.encode_text if is_clip else None,
        tokenizer,
    )
    if module is model:
        loaded = finished(loaded)
    if cache is not None and loaded.key is None:
        raise RequestError(
            "this model or its preprocessing holds code of your own, which a cache cannot recognise when it changes; "
            "leave cache out"
        )
    with TemporaryDirectory() if cache is None else nullcontext(cache) as folder:
        encoded = encode_photos(tree, [loaded], Path(folder), runtime, labels=len(vocabulary.names))[0]
        score = scorer(loaded, vocabulary, templates(prompts) if is_clip else (), runtime, cache)
        return predict(tree, encoded, score, space or LabelSpace("1000" if vocabulary.imagenet else "own"))


def _vocabulary(names: str | Sequence[str] | Vocabulary) -> Vocabulary:
    if isinstance(names, Vocabulary):
        return names
    if isinstance(names, str):
        return imagenet(names)
    if len(names) != CLASS_COUNT:
        raise RequestError(
            f"{len(names)} class names are given; ImageNet-1k has {CLASS_COUNT}, in index order; "
            "classes of your own are a Vocabulary"
        )
    return Vocabulary(tuple(names), "names")


class _Unmoved:
    """Stands in for the module of a plain callable, which looks after its own device."""

    def to(self, device: str) -> None:
        pass

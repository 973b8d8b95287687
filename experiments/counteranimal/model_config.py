"""The configuration of models, and the run of one model on photos. Models run one after another on the device."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.counteranimal.encoding import Precision, Runtime, cache_folder
from experiments.counteranimal.labels import LabelSpace, Vocabulary, digest, imagenet, own_vocabulary, templates
from experiments.counteranimal.lvlm.likelihood import score_labels
from experiments.counteranimal.lvlm.model import LanguageModel
from experiments.counteranimal.model import Activation, LoadedModel, LoadOptions
from experiments.counteranimal.models import check_has_features, check_spec, load
from experiments.counteranimal.photos import PhotoSet
from experiments.counteranimal.scoring import Scored, score_photos
from experiments.errors import RequestError
from experiments.published.tables import checkpoint_spec, checkpoints, published_name, published_rows
from simulator.naming import suggestion

TABLE_3 = "table-3"
NONE = Path("-")  # stands for a model without a weights file


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Specifications of models and how they run, checked before any model is loaded.

    `models` holds specifications (see models.py), or published:MODEL for the checkpoint of a row of Table 3.
    """

    models: Sequence[str]
    weights: Sequence[Path] | None = None  # a file for each model, "-" for none
    prompts: str = "simple"
    class_names: str = "open_clip"
    classes: Path | None = None  # the user's own classes instead of ImageNet's
    device: str = "cpu"
    batch_size: int = 64
    workers: int | None = None
    precision: Precision = "fp32"
    quick_gelu: Activation = "auto"
    trust_pickle: bool = False
    ema: bool | None = None
    cache: Path | None = None
    language: bool = False  # whether language models, which have no image features, are allowed

    def __post_init__(self):
        """Raise RequestError for wrong fields: each property checks its own input."""
        if not self.models:
            raise RequestError("no model is given; name one with --model, or several with --models")
        if self.weights is not None and len(self.weights) != len(self.models):
            raise RequestError(
                f"{len(self.weights)} --weights are given for {len(self.models)} --model; "
                "give one per model, and - for a model without a file"
            )
        if self.quick_gelu != "auto" and not any(spec.startswith("open_clip:") for spec in self.specs):
            raise RequestError(f"--quick-gelu {self.quick_gelu} applies only to open_clip: models; leave it out")
        _ = self.vocabulary, self.templates, self.runtime, self.store
        for spec, options in zip(self.specs, self.options, strict=True):
            if not self.language:
                check_has_features(spec)
            check_spec(spec, options)

    @cached_property
    def specs(self) -> tuple[str, ...]:
        return tuple(checkpoint_spec(spec) for spec in self.models)

    @cached_property
    def options(self) -> tuple[LoadOptions, ...]:
        """Load options of each model; quick_gelu applies only to open_clip: models."""
        return tuple(
            LoadOptions(
                weights=None if file == NONE else file,
                quick_gelu=self.quick_gelu if spec.startswith("open_clip:") else "auto",
                trust_pickle=self.trust_pickle,
                averaged=self.ema,
                classes=None if self.vocabulary.imagenet else len(self.vocabulary.names),
            )
            for spec, file in zip(self.specs, self.weights or [NONE] * len(self.models), strict=True)
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return imagenet(self.class_names) if self.classes is None else own_vocabulary(self.classes)

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

    def load(self, k: int = 0) -> LoadedModel | LanguageModel:
        """The k-th model."""
        return load(self.specs[k], self.options[k])

    def run(self, photo_set: PhotoSet, model: LoadedModel | LanguageModel, space: LabelSpace | None = None) -> Scored:
        """A model's scores of the labels of `space`, by default all; afterwards the model is on the CPU."""
        vocabulary = self.vocabulary
        if isinstance(model, LanguageModel):
            scored = score_labels(
                model, photo_set, space or vocabulary.every_label, vocabulary.called, self.store, self.runtime
            )
        else:
            scored = score_photos(photo_set, model, vocabulary, self.templates, self.runtime, self.store, space)
        model.module.to("cpu")  # the next model needs the memory
        return scored

    def settings(self, model: LoadedModel | LanguageModel) -> dict[str, Any]:
        """The settings of a model's run that a result stores."""
        named = model.family != "ImageNet" or self.classes is not None
        return {
            "prompts": self.prompts if model.family == "CLIP" else None,
            "classes": None if self.classes is None else str(self.classes),
            "class_names": self.vocabulary.source if named else None,
            "class_names_digest": digest(self.vocabulary.names) if named else None,
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "workers": self.runtime.workers,
            **model.settings,
        }


def combined(
    model: Sequence[str] | None, weights: Sequence[Path] | None, models: str | None
) -> tuple[list[str], list[Path] | None]:
    """(models, weights files) of --model and --weights, then of --models: table-3 or a file."""
    specs, files = list(model or ()), None if weights is None else list(weights)
    if models is not None:
        more_specs, more_files = _listed(models)
        files = [*(files or [NONE] * len(specs)), *more_files]
        specs += more_specs
    return specs, files


def _listed(choice: str) -> tuple[list[str], list[Path]]:
    """(specifications, weights file or NONE for each) from table-3, or from a file with lines MODEL [WEIGHTS].

    Weights are relative to the file; empty lines and comments after # are ignored. Raises RequestError for an unknown
    `choice` and more than two words in a line.
    """
    if choice == TABLE_3:
        return [f"published:{c.model}" for c in checkpoints()], [NONE] * len(checkpoints())
    path = Path(choice)
    if not path.is_file():
        raise RequestError(f"--models {choice!r} is neither {TABLE_3} nor a file{suggestion(choice, (TABLE_3,))}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{choice!r} cannot be read ({error}); it needs one model per line") from error
    entries = [words for words in (line.partition("#")[0].split() for line in lines) if words]
    long = next((words for words in entries if len(words) > 2), None)
    if long is not None:
        raise RequestError(f"expected MODEL or MODEL WEIGHTS in each line of {choice!r}, got {' '.join(long)!r}")
    return [words[0] for words in entries], [
        NONE if words[1:] in ([], ["-"]) else path.parent / words[1] for words in entries
    ]


def expected(config: ModelConfig, labels: str) -> list[dict[str, Any]]:
    """The models that would be loaded, with the paper's figures for these prompts and labels; plain JSON."""
    rows = {row.model: row for row in published_rows(labels, config.prompts, "macro")}
    stated = {c.spec: c.stated for c in checkpoints()}  # whether the paper names this checkpoint, or we infer it
    records = []
    for spec, options in zip(config.specs, config.options, strict=True):
        name = published_name(spec)
        row = rows.get(name or "")
        records.append(
            {
                "model": spec,
                "weights": "the model's own" if options.weights is None else str(options.weights),
                "published": name,
                "stated": stated.get(spec),
                "printed": None if row is None else {"common": row.common, "counter": row.counter, "drop": row.drop},
            }
        )
    return records

"""Which models run and how, and one model on a set of photos. Models run one after another on the device."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.counteranimal.cache import cache_folder
from experiments.counteranimal.encoding import Encoded, Precision, Runtime, encode_photos
from experiments.counteranimal.labels import Vocabulary, digest, imagenet, own_vocabulary, templates
from experiments.counteranimal.lvlm.model import LanguageModel
from experiments.counteranimal.model import Activation, LoadedModel, LoadOptions
from experiments.counteranimal.models import check_has_features, check_spec, load
from experiments.counteranimal.photos import PhotoSet
from experiments.counteranimal.scoring import Scorer, scorer
from experiments.errors import RequestError
from experiments.progress import counting
from experiments.published.tables import checkpoint_spec

CLIPS = ("open_clip:", "hf:")  # the kinds whose activation the user can choose


@dataclass(frozen=True)
class EncodedModel:
    """A model with the features of the readable photos and the scorer of the labels."""

    model: LoadedModel
    encoded: Encoded
    score: Scorer


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Models by their specifications and how they run; checked before any of them is loaded.

    `models` are specifications of `models`, or published:MODEL for the checkpoint behind a row of Table 3.
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
        if not self.models:
            raise RequestError("no model is given; name one with --model, or several with --models")
        if self.weights is not None and len(self.weights) != len(self.models):
            raise RequestError(
                f"{len(self.weights)} --weights are given for {len(self.models)} --model; "
                "give one each, - for a model without a file"
            )
        if self.quick_gelu != "auto" and not any(spec.startswith(CLIPS) for spec in self.specs):
            raise RequestError(f"--quick-gelu {self.quick_gelu} is for CLIPs of open_clip: or hf:; leave it out")
        self.validate()

    def validate(self) -> None:
        """Raise RequestError for whatever is wrong, before anything is loaded: each property checks its own input."""
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
        """How each model is read. The activation flag is for CLIPs; classifiers beside them keep their own."""
        files = [None if str(file) == "-" else file for file in self.weights or ["-"] * len(self.models)]
        classes = None if self.vocabulary.imagenet else len(self.vocabulary.names)
        return tuple(
            LoadOptions(
                weights=file,
                quick_gelu=self.quick_gelu if spec.startswith(CLIPS) else "auto",
                trust_pickle=self.trust_pickle,
                averaged=self.ema,
                classes=classes,
            )
            for spec, file in zip(self.specs, files, strict=True)
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

    def run(self, photo_set: PhotoSet, model: LoadedModel, strict: bool = False) -> EncodedModel:
        """Features of the photos and the scorer of a model, with progress; afterwards the model is off the device."""
        with counting("encoding", len(photo_set.photos), "photos/s") as advance:
            labels = len(self.vocabulary.names)
            encoded = encode_photos(photo_set, model, self.store, self.runtime, advance, strict, labels)
        distinct = len(set(self.vocabulary.phrases(self.templates))) if model.family == "CLIP" else 0
        with counting("prompts", distinct, "labels/s") as advance:
            score = scorer(model, self.vocabulary, self.templates, self.runtime, self.store, advance)
        model.module.to("cpu")
        return EncodedModel(model, encoded, score)

    def settings(self, model: LoadedModel | LanguageModel) -> dict[str, Any]:
        """What a result says about how a model ran."""
        clip = model.family == "CLIP"
        named = clip or self.classes is not None or isinstance(model, LanguageModel)
        return {
            "prompts": self.prompts if clip else None,
            "classes": None if self.classes is None else str(self.classes),
            "class_names": self.vocabulary.source if named else None,
            "class_names_digest": digest(self.vocabulary.names) if named else None,
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "workers": self.runtime.workers,
            **model.settings,
        }

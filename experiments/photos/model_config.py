"""The models that a verb runs and how it runs them, checked before any model is loaded."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.errors import RequestError
from experiments.photos.encoding import Precision, Runtime, cache_folder
from experiments.photos.labels import LabelSpace, Vocabulary, digest, imagenet, own_vocabulary, templates
from experiments.photos.language_models import LanguageModel, score_labels
from experiments.photos.model import Activation, LoadedModel, LoadOptions
from experiments.photos.models import check_spec, load
from experiments.photos.photos import PhotoSet
from experiments.photos.scoring import Scored, score_photos
from experiments.published.tables import checkpoint_spec

NONE = Path("-")  # stands for a model without a weights file


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Models, as models.py specifies them or published:MODEL, and how they run; checked before any model is loaded."""

    models: Sequence[str]
    weights: Sequence[Path] | None = None  # a file for each model, "-" for none
    prompts: str = "simple"
    classes: Path | None = None  # the user's own classes instead of ImageNet's
    device: str = "cpu"
    batch_size: int = 64
    workers: int | None = None
    precision: Precision = "fp32"
    quick_gelu: Activation = "auto"
    trust_pickle: bool = False
    cache: Path | None = None

    def __post_init__(self):
        if not self.models:
            raise RequestError("no model is given; name one with --model")
        if self.weights is not None and len(self.weights) != len(self.models):
            raise RequestError(
                f"{len(self.weights)} --weights are given for {len(self.models)} --model; "
                "give one per model, and - for a model without a file"
            )
        if self.quick_gelu != "auto" and not any(spec.startswith("open_clip:") for spec in self.specs):
            raise RequestError(f"--quick-gelu {self.quick_gelu} applies only to open_clip: models; leave it out")
        _ = self.vocabulary, self.templates, self.runtime  # each checks its own input
        for spec, options in zip(self.specs, self.options, strict=True):
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
                classes=None if self.vocabulary.imagenet else len(self.vocabulary.names),
            )
            for spec, file in zip(self.specs, self.weights or [NONE] * len(self.models), strict=True)
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return imagenet() if self.classes is None else own_vocabulary(self.classes)

    @cached_property
    def templates(self) -> tuple[str, ...]:
        return templates(self.prompts)

    @cached_property
    def runtime(self) -> Runtime:
        workers = min(8, max(1, (os.cpu_count() or 2) - 1)) if self.workers is None else self.workers
        return Runtime(self.device, self.precision, self.batch_size, workers, cache_folder(self.cache))

    def load(self, k: int = 0) -> LoadedModel | LanguageModel:
        return load(self.specs[k], self.options[k])

    def run(self, photo_set: PhotoSet, model: LoadedModel | LanguageModel, space: LabelSpace | None = None) -> Scored:
        """A model's scores of the labels of `space`, by default all; afterwards the model is on the CPU."""
        space = space or self.vocabulary.every_label
        if isinstance(model, LanguageModel):
            scored = score_labels(model, photo_set, space, self.vocabulary.called, self.runtime)
        else:
            scored = score_photos(photo_set, model, self.vocabulary, self.templates, self.runtime, space)
        model.module.to("cpu")  # the next model needs the memory
        return scored

    def settings(self, model: LoadedModel | LanguageModel) -> dict[str, Any]:
        """The settings of a model's run that a result stores."""
        named = not isinstance(model, LoadedModel) or model.embeds_text or self.classes is not None
        return {
            "prompts": self.prompts if isinstance(model, LoadedModel) and model.embeds_text else None,
            "classes": None if self.classes is None else str(self.classes),
            "class_names": self.vocabulary.source if named else None,
            "class_names_digest": digest(self.vocabulary.names) if named else None,
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "workers": self.runtime.workers,
            **model.settings,
        }

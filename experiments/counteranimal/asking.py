"""Models asked one after another: each is on the device alone, and is not even loaded where all is kept."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from experiments.counteranimal.cache import cache_folder
from experiments.counteranimal.encoding import Encoded, Precision, Runtime, encode_photos
from experiments.counteranimal.labels import Vocabulary, digest, imagenet, own_vocabulary, templates
from experiments.counteranimal.loaded import Activation, Model, Reading
from experiments.counteranimal.lvlm.language import LanguageModel
from experiments.counteranimal.models import LANGUAGE, checked, load, refuse_language
from experiments.counteranimal.photos.tree import Tree
from experiments.counteranimal.remembered import remembered
from experiments.counteranimal.scoring import Scorer, scorer
from experiments.errors import RequestError
from experiments.progress import counting
from experiments.published.tables import checkpoint_spec

CLIPS = ("open_clip:", "hf:")  # whose activation can be chosen


@dataclass(frozen=True)
class Asked:
    """A model with the features of the photos that could be read and the scores that it gives to labels."""

    model: Model
    encoded: Encoded
    score: Scorer


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
    language: bool = False  # whether models without features, which answer in words, may be among them

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
        _ = self.specs, self.vocabulary, self.templates, self.runtime, self.store  # refused now rather than later
        for spec, how in zip(self.specs, self.readings, strict=True):
            if not self.language:
                refuse_language(spec)
            checked(spec, how)

    @cached_property
    def specs(self) -> tuple[str, ...]:
        return tuple(checkpoint_spec(spec) for spec in self.models)

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """How each model is read. The activation flag speaks of CLIPs; classifiers beside them keep their own."""
        files = [None if str(file) == "-" else file for file in self.weights or ["-"] * len(self.models)]
        classes = None if self.vocabulary.imagenet else len(self.vocabulary.names)
        return tuple(
            Reading(
                file,
                self.quick_gelu if spec.startswith(CLIPS) else "auto",
                self.trust_pickle,
                self.ema,
                classes,
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

    def model(self, k: int = 0) -> Model | LanguageModel:
        """The k-th model, loaded unless it is known. A language model has no features that could be kept under it."""
        spec, how = self.specs[k], self.readings[k]
        if spec.startswith(f"{LANGUAGE}:"):
            return load(spec, how)
        return remembered(spec, how, self.store, partial(load, spec, how))

    def ask(self, tree: Tree, model: Model, strict: bool = False) -> Asked:
        """Features of the photos and the scorer of a model, with progress; it has left the device by then."""
        with counting("encoding", len(tree.photos), "photos/s") as advance:
            encoded = encode_photos(tree, model, self.store, self.runtime, advance, strict, len(self.vocabulary.names))
        distinct = len(set(self.vocabulary.phrases(self.templates))) if model.family == "CLIP" else 0
        with counting("prompts", distinct, "labels/s") as advance:
            score = scorer(model, self.vocabulary, self.templates, self.runtime, self.store, advance)
        model.release()
        return Asked(model, encoded, score)

    def settings(self, model: Model | LanguageModel) -> dict[str, Any]:
        """What a result says about how a model was asked."""
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

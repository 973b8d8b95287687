"""A model as everything after loading sees it, loaded or to be loaded, and what is said of it in results."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from experiments.counteranimal.identity import model_key, weights_hash
from experiments.errors import RunError

Activation = Literal["auto", "on", "off"]  # QuickGELU


@dataclass(frozen=True)
class Reading:
    """How weights are read."""

    weights: Path | None = None  # a file; None: the tag's own
    quick_gelu: Activation = "auto"
    trust_pickle: bool = False  # run what a file stores beside its weights
    averaged: bool | None = None  # the running mean of the weights, where a file has both; None: there is no choice
    classes: int | None = None  # scores that a classifier in a file gives; None: the 1000 of ImageNet-1k


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to answer: images -> features, and for CLIPs texts -> features."""

    spec: str
    family: str  # CLIP or ImageNet
    module: Any  # torch.nn.Module in evaluation mode
    encode_image: Callable  # (B, 3, H, W) -> (B, d): unnormalised embeddings, or 1000 logits
    preprocess: Callable  # PIL image -> (3, H, W)
    encode_text: Callable | None = None  # token ids -> (T, d); None for a classifier
    tokenizer: Callable | None = None  # list of strings -> token ids
    settings: dict[str, Any] = field(default_factory=dict)  # activation, weights, versions: goes into results
    key: str | None = None  # of all that changes a feature; None where some of it cannot be described
    origin: str | None = None  # of what it was loaded from, tokenizer too; None where that may change unseen

    def ready(self) -> "LoadedModel":
        """The model itself, which is loaded."""
        return self

    def release(self) -> None:
        """Take it off its device; whoever holds it may go on."""
        self.module.to("cpu")


class Deferred:
    """A model that is loaded when its module is first needed, though its key and settings are known from before."""

    def __init__(self, spec: str, known: dict[str, Any], origin: str, load: Callable[[], LoadedModel]):
        self.spec, self.origin = spec, origin
        self.family: str = known["family"]
        self.key: str = known["key"]
        self.settings: dict[str, Any] = known["settings"]
        self._load, self._loaded = load, None

    def ready(self) -> LoadedModel:
        """The model, loaded now unless it was before.

        What it says of itself must be what was remembered, else features of two models would be mixed.
        """
        if self._loaded is None:
            self._loaded = self._load()
            if self._loaded.key != self.key:
                raise RunError(f"{self.spec} has changed since its features were kept; run this again")
        return self._loaded

    def release(self) -> None:
        """Forget the loaded module, so that its memory is free."""
        self._loaded = None


Model = LoadedModel | Deferred


class Unmoved:
    """Stands in for the module of a plain callable, which looks after its own device."""

    def to(self, device: str) -> None:
        """Nothing moves."""

    def eval(self) -> None:
        """Nothing changes."""

    def modules(self) -> tuple[()]:
        """It has no parts."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """It has no weights that could be seen."""
        return {}


def finished(model: LoadedModel) -> LoadedModel:
    """A model in evaluation mode (open_clip hands it over in training mode), with its hashes and its key."""
    model.module.eval()
    weights = weights_hash(model.module)
    settings = {
        "activation": activations(model.module),
        "weights_hash": weights,
        "preprocessing": described(model.preprocess),
        **model.settings,
    }
    # Of what looks after itself no weights can be seen, so two of them might be taken for one.
    seen = not isinstance(model.module, Unmoved)
    encoders = (model.encode_image, model.encode_text)
    key = model_key(model.module, encoders, model.preprocess, weights) if seen else None
    return replace(model, settings=settings, key=key)


def activations(module) -> str:
    """The nonlinearities found in a model, joined by +, for instance QuickGELU."""
    names = {
        type(part).__name__
        for part in module.modules()
        if type(part).__module__.endswith(("activation", "activations")) or type(part).__name__ == "QuickGELU"
    }
    return "+".join(sorted(names - {"MultiheadAttention"})) or "unknown"


def described(preprocess: Callable) -> str:
    """The preprocessing in words, without addresses, so that equal pipelines have equal descriptions."""
    return re.sub(r"\s+", " ", re.sub(r" at 0x[0-9a-f]+", "", repr(preprocess)))

"""A loaded model: its functions, its settings in results, and the cache key of its features."""

import json
import logging
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.error import HTTPError

from experiments.errors import RequestError, SoberclipError
from experiments.provenance import versions

FORMAT = 4  # version of features and keys; raise it when their computation changes
DISTRIBUTIONS = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "open_clip_torch",
    "timm",
    "transformers",
    "tokenizers",
)
SECONDS = 3  # that a server has to answer
OWN = "yours"  # the family of a model that names none; it lies on no line


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode. CLIPs embed images and texts; classifiers give one score per
    label.
    """

    family: str  # models that share a line: CLIP, ImageNet, a word of the user's, or OWN
    module: Any  # torch.nn.Module, an empty one for a function
    # (B, 3, H, W) -> (B, d): embeddings before normalisation, or scores of the labels
    encode_image: Callable
    preprocess: Callable  # PIL image -> (3, H, W)
    encode_text: Callable | None = None  # token ids -> (T, d); None for a classifier
    tokenizer: Callable | None = None  # list of strings -> token ids
    # activation, weights, versions: part of every result
    settings: dict[str, Any] = field(default_factory=dict)
    # what changes a feature, except weights and versions
    configuration: dict[str, Any] | None = None
    spec: str = "the model"
    # digest of everything that changes a feature; None: features are not cached
    key: str | None = None

    @property
    def embeds_text(self) -> bool:
        """Whether it is a CLIP, not a classifier."""
        return self.encode_text is not None


def finished(model: LoadedModel) -> LoadedModel:
    """The model in evaluation mode (open_clip returns training mode), with its settings and its
    key.
    """
    model.module.eval()
    # without addresses
    preprocessing = " ".join(re.sub(r" at 0x[0-9a-f]+", "", repr(model.preprocess)).split())
    parts = {"weights_hash": weights_hash(model.module), "preprocessing": preprocessing}
    key = None if model.configuration is None else feature_key({**parts, **model.configuration})
    settings = {
        "activation": activations(model.module),
        "versions": versions(DISTRIBUTIONS),
        **parts,
        **model.settings,
    }
    return replace(model, settings=settings, key=key)


def feature_key(parts: dict[str, Any]) -> str:
    """SHA-256 of `parts` as JSON, together with FORMAT and the library versions."""
    every = {"format": FORMAT, "versions": versions(DISTRIBUTIONS), **parts}
    return sha256(json.dumps(every, sort_keys=True, default=str).encode()).hexdigest()


def weights_hash(module: Any) -> str:
    """SHA-256 of the names and bytes of a model's parameters and buffers, sorted by name."""
    import torch  # start-up time

    hashed = sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, torch.Tensor):
            hashed.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            hashed.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return hashed.hexdigest()


def activations(module: Any) -> str:
    """The nonlinearities of a model, joined by +, for instance QuickGELU."""
    names = {
        type(part).__name__
        for part in module.modules()
        if type(part).__module__.endswith(("activation", "activations"))
        or type(part).__name__ == "QuickGELU"
    }
    return "+".join(sorted(names - {"MultiheadAttention"})) or "unknown"


@cache
def answers(url: str) -> bool:
    """Whether a server answers within SECONDS."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS):
            return True
    except (OSError, ValueError) as error:
        return isinstance(error, HTTPError)


@contextmanager
def loading(what: str, way_out: str = "", hub: bool = False) -> Iterator[None]:
    """Turn a library's errors into RequestError, with `way_out` at the end, and silence its
    warnings and its bars.

    With `hub` the library may ask the Hugging Face hub. If that does not answer, the cache alone is
    used.
    """
    client: Any = None
    silent = False
    if hub:
        from huggingface_hub import constants as client  # comes with the libraries that ask the hub

        silent = not client.HF_HUB_OFFLINE and not answers(client.ENDPOINT)
        # else the client would retry for a minute
        client.HF_HUB_OFFLINE = client.HF_HUB_OFFLINE or silent
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    if "transformers" in sys.modules:
        sys.modules["transformers"].utils.logging.disable_progress_bar()
    try:
        yield
    except (SoberclipError, ImportError):
        raise
    except Exception as error:
        # transformers, open_clip, torch, json and the hub's client raise different types
        reason = f" ({type(error).__name__}: {one_line(error)})"
        if silent:
            reason = (
                f": {client.ENDPOINT} does not answer, and not all of its files are in the cache"
            )
        elif hub:
            way_out = f"without a network set HF_HUB_OFFLINE=1, or {way_out}"
        raise RequestError(
            f"{what} cannot be loaded{reason}{'; ' * bool(way_out)}{way_out}"
        ) from error
    finally:
        logging.disable(disabled)
        if silent:
            client.HF_HUB_OFFLINE = False


def one_line(error: BaseException) -> str:
    """An error's message in one line of 200 characters at most."""
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__

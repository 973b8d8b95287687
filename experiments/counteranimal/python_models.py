"""A model of one's own: a Python file that defines `model()`, which returns an object that can be asked.

    preprocess(image)       PIL image -> tensor (3, H, W)
    encode_image(pixels)    (B, 3, H, W) -> (B, d)      and     encode_text(ids) -> (T, d), tokenizer(texts) -> ids
    logits(pixels)          (B, 3, H, W) -> (B, labels) in their place: a score of every label, in order

Where it is a torch module, it is moved to the device and put into evaluation mode. The file is run: it is the user's.
"""

import runpy
from pathlib import Path
from typing import Any

from experiments.counteranimal.loaded import LoadedModel, Reading, Unmoved
from experiments.errors import RequestError

MAKER = "model"
CLIP = ("preprocess", "encode_image", "encode_text", "tokenizer")
CLASSIFIER = ("preprocess", "logits")


def check(name: str, how: Reading) -> None:
    """Raises RequestError for a file that is not there, or a weights file, which is the file's own business."""
    if not Path(name).is_file():
        raise RequestError(f"there is no Python file {name!r}; it defines {MAKER}(), which returns the model")
    if how.weights is not None:
        raise RequestError(f"--weights does not go with python:{name}, which loads its own; leave it out")


def load(name: str, how: Reading) -> LoadedModel:
    """Run the file and take what its model() returns.

    Raises RequestError for a file that fails, or an object that lacks a method.
    """
    try:
        maker = runpy.run_path(name).get(MAKER)
        made = None if maker is None else maker()
    except Exception as error:  # the user's code raises what it likes
        raise RequestError(f"{name!r} failed with {type(error).__name__}: {error}") from error
    if maker is None:
        raise RequestError(f"{name!r} defines no {MAKER}(); it returns the model")
    clip, classifier = (
        [part for part in parts if not callable(getattr(made, part, None))] for parts in (CLIP, CLASSIFIER)
    )
    if clip and classifier:
        raise RequestError(
            f"the model of {name!r} is a {type(made).__name__} without {', '.join(clip)} for a CLIP, "
            f"or {', '.join(classifier)} for a classifier"
        )
    return _loaded(made, not clip, {"weights": f"file {Path(name).name}"})


def _loaded(made: Any, clip: bool, settings: dict[str, Any]) -> LoadedModel:
    import torch

    module = made if isinstance(made, torch.nn.Module) else Unmoved()
    if clip:
        parts = (made.encode_image, made.preprocess, made.encode_text, made.tokenizer)
        return LoadedModel("", "CLIP", module, *parts, settings=settings)
    return LoadedModel("", "ImageNet", module, made.logits, made.preprocess, settings=settings)

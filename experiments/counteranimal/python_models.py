"""A user's own model: a Python file that defines `model()`, which returns an object with these methods.

    preprocess(image)       PIL image -> tensor (3, H, W)
    encode_image(pixels)    (B, 3, H, W) -> (B, d)      and     encode_text(ids) -> (T, d), tokenizer(texts) -> ids
    logits(pixels)          (B, 3, H, W) -> (B, labels) instead of those three: a score of every label, in order

A torch module is moved to the device and put into evaluation mode. The file is executed. Its features are not cached:
the code may change without notice.
"""

import runpy
from pathlib import Path

from experiments.counteranimal.model import LoadedModel, LoadOptions
from experiments.errors import RequestError

CLIP = ("preprocess", "encode_image", "encode_text", "tokenizer")
CLASSIFIER = ("preprocess", "logits")


def check(name: str, options: LoadOptions) -> None:
    """Raises RequestError for a missing file."""
    if not Path(name).is_file():
        raise RequestError(f"there is no Python file {name!r}; it defines model(), which returns the model")


def load(name: str, options: LoadOptions) -> LoadedModel:
    """Execute the file and take what its model() returns.

    Raises RequestError for a file that fails, or an object that lacks a method.
    """
    try:
        maker = runpy.run_path(name).get("model")
        made = None if maker is None else maker()
    except Exception as error:  # the user's code may raise anything
        raise RequestError(f"{name!r} failed with {type(error).__name__}: {error}") from error
    if maker is None:
        raise RequestError(f"{name!r} defines no model(); it returns the model")
    clip, classifier = (
        [part for part in parts if not callable(getattr(made, part, None))] for parts in (CLIP, CLASSIFIER)
    )
    if clip and classifier:
        raise RequestError(
            f"the model of {name!r} is a {type(made).__name__} without {', '.join(clip)} for a CLIP, "
            f"or {', '.join(classifier)} for a classifier"
        )
    import torch  # start-up time

    module = made if isinstance(made, torch.nn.Module) else torch.nn.Module()
    settings = {"weights": f"file {Path(name).name}"}
    if clip:
        return LoadedModel("ImageNet", module, made.logits, made.preprocess, settings=settings)
    return LoadedModel(
        "CLIP", module, made.encode_image, made.preprocess, made.encode_text, made.tokenizer, settings=settings
    )

"""Zero-shot models of the transformers library: CLIP, SigLIP and similar ones, from a folder or from the hub.

Each model runs as in the library's pipeline for zero-shot image classification: its own image processor, its own
tokenizer and padding, its own projection. Scores are cosines: a scale and a bias do not change their order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.counteranimal.model import Activation, LoadedModel, LoadOptions, versions
from experiments.counteranimal.weights import hub, listed, unreadable
from experiments.errors import RequestError

# Configurations with two towers that embed a plain image and a text separately. SigLIP 2 of fixed resolution is a
# "siglip"; "siglip2" itself reads patches of any shape, and BLIP compares image and text within one tower.
KNOWN = ("align", "altclip", "chinese_clip", "clip", "clipseg", "metaclip_2", "siglip")
SIGLIP_TEXT = 64  # tokens that SigLIP was trained on, padding included and not masked
LONGEST = 77  # tokens that the others read of a label, as CLIP does; some of their towers would take 512
ACTIVATIONS = {"on": "quick_gelu", "off": "gelu"}


def check(name: str, options: LoadOptions) -> None:
    """Raises RequestError unless `name` is a folder with a model or a name on the hub."""
    located(name, "hf")


def load(name: str, options: LoadOptions) -> LoadedModel:
    """A model of a folder, or of ORG/NAME on the hub or in its cache; code that is stored in it does not run."""
    from transformers import (  # optional extra
        AutoConfig,
        AutoImageProcessor,
        AutoModelForZeroShotImageClassification,
        AutoTokenizer,
    )

    local, where = located(name, "hf")
    files = {"local_files_only": local}
    way_out = "download its files where there is a network and pass hf:FOLDER"
    with unreadable(f"hf:{name}") if local else hub(f"hf:{name}", way_out):
        config = AutoConfig.from_pretrained(where, **files)
        _check_type(name, config)
        if options.quick_gelu != "auto":
            for part in (config.vision_config, config.text_config):
                part.hidden_act = _activation(name, part, options.quick_gelu)
        module, report = AutoModelForZeroShotImageClassification.from_pretrained(
            where, config=config, output_loading_info=True, **files
        )
        processor = AutoImageProcessor.from_pretrained(where, **files)
        tokenizer = AutoTokenizer.from_pretrained(where, **files)
    lacking = sorted(report["missing_keys"])
    if lacking:  # transformers fills them with random numbers without an error
        raise RequestError(f"the weights in {name!r} do not fit the model: missing are {listed(lacking)}")
    module.float()  # transformers 5 keeps the precision of the file
    siglip = config.model_type == "siglip"
    longest = min(SIGLIP_TEXT if siglip else LONGEST, config.text_config.max_position_embeddings)
    origin = f"folder {Path(name).name}" if local else f"hub {name}"
    return LoadedModel(
        "CLIP",
        module,
        _Images(module.get_image_features),
        ProcessorTransform(processor),
        _Texts(module.get_text_features, not siglip),
        _Tokens(tokenizer, longest, siglip),
        {"weights": origin, "versions": versions(("transformers", "torch", "pillow"))},
        {"config": config.to_dict() | {"_name_or_path": None}, "processor": processor.to_dict()},
    )


def located(name: str, kind: str) -> tuple[bool, str | Path]:
    """(is it a folder on this machine, the folder or the name on the hub)."""
    folder = Path(name)
    if (folder / "config.json").is_file():
        return True, folder
    if folder.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise RequestError(
            f"{kind}:{name} is not a folder with a config.json; pass the folder of a downloaded model, or ORG/NAME on "
            "the hub"
        )
    return False, name


def _check_type(name: str, config: Any) -> None:
    if config.model_type == "siglip2":
        raise RequestError(
            f"hf:{name} is a SigLIP 2 that reads patches of any shape; SigLIP 2 of a fixed resolution can be scored"
        )
    if config.model_type not in KNOWN:
        raise RequestError(
            f"hf:{name} holds a model of type {config.model_type!r}; types that can be scored are {', '.join(KNOWN)}"
        )


def _activation(name: str, part: Any, quick_gelu: Activation) -> str:
    own = getattr(part, "hidden_act", None)
    if own not in ACTIVATIONS.values():
        raise RequestError(f"--quick-gelu {quick_gelu} is for towers with GELU or QuickGELU; hf:{name} has {own}")
    return ACTIVATIONS[quick_gelu]


def _pooled(out: Any) -> Any:
    """transformers 5 wraps projected features in an output object, transformers 4 returns them bare."""
    return getattr(out, "pooler_output", out)


@dataclass(frozen=True)
class _Images:
    features: Callable

    def __call__(self, pixels):
        return _pooled(self.features(pixel_values=pixels))


@dataclass(frozen=True)
class _Texts:
    """Token ids stacked on their mask -> features."""

    features: Callable
    masked: bool

    def __call__(self, tokens):
        ids, mask = tokens.unbind(1)
        return _pooled(self.features(input_ids=ids, **({"attention_mask": mask} if self.masked else {})))


@dataclass(frozen=True)
class _Tokens:
    """Texts -> ids and mask (T, 2, L), padded to the longest text, or to `length` if the tower needs that."""

    tokenizer: Any
    length: int
    full: bool

    def __call__(self, texts: list[str]):
        import torch  # start-up time

        padding = "max_length" if self.full else True
        encoded = self.tokenizer(texts, padding=padding, truncation=True, max_length=self.length, return_tensors="pt")
        ids = encoded["input_ids"]
        return torch.stack([ids, encoded.get("attention_mask", torch.ones_like(ids))], dim=1)


@dataclass(frozen=True)
class ProcessorTransform:
    """A transformers image processor as a function of one PIL image."""

    processor: Any

    def __call__(self, image):
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]

"""Loads models of four libraries, each with the preprocessing of its own library.

A CLIP of transformers runs as in the library's pipeline for zero-shot image classification: its own
image processor, its own tokenizer and padding, its own projection. Scores are cosines: a scale and
a bias do not change their order. Code that is stored with a model does not run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.errors import RequestError, unknown
from experiments.photos.labels import CLASS_COUNT, library
from experiments.photos.model import LoadedModel, loading, one_line
from experiments.photos.options import Options
from simulator.naming import suggestion

PLACES = ("local-dir:", "hf-hub:")  # open_clip loads these without a tag
FIRST_WEIGHTS = "IMAGENET1K_V1"
BY_FILE = "pass a file with --weights FILE"
BY_FOLDER = "pass the folder of its files as open_clip:local-dir:FOLDER"
# Model types with separate towers for a plain image and a text. SigLIP 2 with fixed resolution has
# type "siglip". Left out: "siglip2" reads patches of any shape; BLIP compares image and text in one
# tower.
KNOWN = ("align", "altclip", "chinese_clip", "clip", "clipseg", "metaclip_2", "siglip")
SIGLIP_TEXT = 64  # tokens per text in SigLIP's training, with unmasked padding
LONGEST = 77  # tokens per text for the other types, as in CLIP; some towers accept 512


def _check_name(library: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise RequestError(f"{library} has no model {name!r}{suggestion(name, names, quoted=True)}")


def _check_tag(spec: str, tag: str, tags: list[str], file: Path | None) -> None:
    """Refuse an unknown tag, and a name with neither a tag nor a file."""
    if tag and tag not in tags:
        raise unknown(f"tag of {spec}", tag, tags)
    if not tag and file is None:
        raise RequestError(
            f"{spec} names no weights; add a tag ({', '.join(tags)}) or pass --weights FILE"
        )


def check_open_clip(spec: str, file: Path | None) -> None:
    open_clip = library("open_clip")
    if not spec.startswith(PLACES):
        name, _, tag = spec.partition("/")
        _check_name("open_clip", name, open_clip.list_models())
        _check_tag(f"open_clip:{spec}", tag, open_clip.list_pretrained_tags_by_model(name), file)


def load_open_clip(spec: str, file: Path | None, options: Options) -> LoadedModel:
    open_clip = library("open_clip")
    name, _, tag = (spec, "", "") if spec.startswith(PLACES) else spec.partition("/")
    way_out = "" if spec.startswith(PLACES[0]) else BY_FILE if tag else BY_FOLDER
    with loading(f"open_clip:{spec}", way_out, hub=file is None and bool(way_out)):
        published = open_clip.get_pretrained_cfg(name, tag) if tag else {}
        config = open_clip.get_model_config(name)
        # The activation belongs to the weights, so the tag's configuration overrides the model
        # name's.
        quick = bool((published if tag else config).get("quick_gelu"))
        if options.quick_gelu != "auto":
            quick = options.quick_gelu == "on"
        tokenizer = open_clip.get_tokenizer(name)
        if tag and file is None:
            file = Path(open_clip.pretrained.download_pretrained(published))
        kept = {
            k: published[k]
            for k in ("mean", "std", "interpolation", "resize_mode")
            if k in published
        }
        weights = {
            "load_weights": file is None,
            "require_pretrained": file is None,
            "pretrained_text": False,
        }
        weights["weights_only"] = not options.trust_pickle
        module = open_clip.create_model(
            name, quick_gelu=quick, force_preprocess_cfg=kept, **weights
        )
    if file is not None:
        with _fitting(file, options.trust_pickle):
            open_clip.load_checkpoint(module, str(file), weights_only=not options.trust_pickle)
    preprocess = module.visual.preprocess_cfg
    about = {"settings": {"weights": f"tag {tag}" if tag else name}}
    about["configuration"] = {"config": config, "quick_gelu": quick, "preprocess": preprocess}
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**preprocess), is_train=False
    )
    return LoadedModel(
        "CLIP", module, module.encode_image, transform, module.encode_text, tokenizer, **about
    )


def torchvision_weights(spec: str, file: Path | None) -> Any:
    """torchvision's entry of a classifier's weights, which holds the preprocessing."""
    models = library("torchvision.models")
    name, _, tag = spec.partition("/")
    _check_name("torchvision", name, models.list_models(module=models))
    choices = {
        w.name: w
        for w in models.get_model_weights(name)
        if len(w.meta["categories"]) == CLASS_COUNT
    }
    if (tag or FIRST_WEIGHTS) not in choices:
        raise unknown(f"torchvision:{name} weights", tag or FIRST_WEIGHTS, choices)
    return choices[tag or FIRST_WEIGHTS]


def load_torchvision(spec: str, file: Path | None, options: Options) -> LoadedModel:
    models = library("torchvision.models")
    name = spec.partition("/")[0]
    weights = torchvision_weights(spec, file)
    if file is None:
        with loading(f"torchvision:{spec}", BY_FILE):
            module = models.get_model(name, weights=weights, progress=False)
    else:
        # These two are built differently for pretrained weights, and are slow to initialise
        # otherwise.
        extra = (
            {"transform_input": True, "init_weights": False}
            if name in ("googlenet", "inception_v3")
            else {}
        )
        module = models.get_model(
            name, weights=None, num_classes=len(options.vocabulary.names), **extra
        )
        _load_state(module, file, options)
    about = {"settings": {"weights": f"tag {weights.name}"}, "configuration": {"name": name}}
    return LoadedModel("ImageNet", module, module, weights.transforms(), **about)


def check_timm(spec: str, file: Path | None) -> None:
    timm = library("timm")
    name, _, tag = spec.partition(".")
    _check_name("timm", name, timm.list_models())
    _check_tag(
        f"timm:{spec}",
        tag,
        [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")],
        file,
    )


def load_timm(spec: str, file: Path | None, options: Options) -> LoadedModel:
    timm = library("timm")
    if file is None:
        with loading(f"timm:{spec}", BY_FILE, hub=True):
            module = timm.create_model(spec, pretrained=True)
        if module.num_classes != CLASS_COUNT:
            wrong = f"has {module.num_classes} classes, not the 1000 of ImageNet-1k"
            raise RequestError(f"timm:{spec} {wrong}; choose an in1k tag")
    else:
        module = timm.create_model(
            spec, pretrained=False, num_classes=len(options.vocabulary.names)
        )
        _load_state(module, file, options)
    data = timm.data.resolve_model_data_config(module)
    preprocess = timm.data.create_transform(**data, is_training=False)
    about = {
        "settings": {"weights": f"tag {spec.partition('.')[2]}"},
        "configuration": {"name": spec, "data": data},
    }
    return LoadedModel("ImageNet", module, module, preprocess, **about)


def _load_state(module: Any, file: Path, options: Options) -> None:
    from timm.models import load_state_dict  # optional extra

    with _fitting(file, options.trust_pickle):
        # The running mean of the weights, if the file has one; names without the prefixes of
        # wrappers.
        module.load_state_dict(load_state_dict(str(file), weights_only=not options.trust_pickle))


@contextmanager
def _fitting(file: Path, trust_pickle: bool) -> Iterator[None]:
    """Turn errors of loading a weights file (wrong weights, stored code) into RequestError."""
    try:
        yield
    except Exception as error:  # torch, safetensors, open_clip and pickle raise different types
        if not trust_pickle and "weights_only" in str(error):
            danger = (
                "holds code beside its weights (TorchScript or pickle), which loading would run"
            )
            way_out = "convert it to safetensors, or pass --trust-pickle if you trust its origin"
            raise RequestError(f"{str(file)!r} {danger}; {way_out}") from error
        raise RequestError(
            f"the weights in {str(file)!r} do not fit the model ({one_line(error)})"
        ) from error


def check_transformers(name: str, file: Path | None) -> None:
    """Refuse what is neither the folder of a model nor a possible name on the hub."""
    folder = Path(name)
    on_hub = name.count("/") == 1 and not folder.exists() and not name.startswith((".", "/", "~"))
    if not on_hub and not (folder / "config.json").is_file():
        raise RequestError(
            f"{name!r} is neither the folder of a model, with a config.json, nor ORG/NAME on"
            " the hub"
        )


def of_transformers(spec: str, kind: str, **how: Any) -> Any:
    """`kind`.from_pretrained of the model that a specification names, such as AutoConfig; it may
    ask the hub.
    """
    name = spec.partition(":")[2]
    transformers = library("transformers")
    with loading(spec, "pass the folder of its files", hub=not Path(name).exists()):
        return getattr(transformers, kind).from_pretrained(name, **how)


def transformers_module(spec: str, kind: str) -> Any:
    """The module; missing or misshapen weights, which the library fills at random, raise
    RequestError.
    """
    module, report = of_transformers(
        spec, kind, output_loading_info=True, ignore_mismatched_sizes=True
    )
    lacking = sorted(set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]})
    if lacking:
        wrong = f"{len(lacking)} are missing or have a wrong shape, first {lacking[0]}"
        raise RequestError(f"the weights of {spec} do not fit it: {wrong}")
    return module


def load_hf(name: str, file: Path | None, options: Options) -> LoadedModel:
    spec = f"hf:{name}"
    config = of_transformers(spec, "AutoConfig")
    if config.model_type not in KNOWN:
        raise RequestError(
            f"{spec} holds a model of type {config.model_type!r}; known types are"
            f" {', '.join(KNOWN)}"
        )
    module = transformers_module(spec, "AutoModelForZeroShotImageClassification")
    processor = of_transformers(spec, "AutoImageProcessor")
    tokenizer = of_transformers(spec, "AutoTokenizer")
    module.float()  # transformers 5 keeps the precision of the file
    siglip = config.model_type == "siglip"
    longest = min(SIGLIP_TEXT if siglip else LONGEST, config.text_config.max_position_embeddings)

    def tokenize(texts: list[str]):
        """Ids and mask (T, 2, L), padded to the longest text, or to `longest` as SigLIP needs."""
        padding = "max_length" if siglip else True
        encoded = tokenizer(
            texts, padding=padding, truncation=True, max_length=longest, return_tensors="pt"
        )
        ids = encoded["input_ids"]
        return torch.stack([ids, encoded.get("attention_mask", torch.ones_like(ids))], dim=1)

    def encode_text(tokens):
        ids, mask = tokens.unbind(1)
        return _pooled(
            module.get_text_features(ids)
            if siglip
            else module.get_text_features(ids, attention_mask=mask)
        )

    def encode_image(pixels):
        return _pooled(module.get_image_features(pixel_values=pixels))

    configuration = {
        "config": config.to_dict() | {"_name_or_path": None},
        "processor": processor.to_dict(),
    }
    about = {"settings": {"weights": name}, "configuration": configuration}
    return LoadedModel(
        "CLIP", module, encode_image, ProcessorTransform(processor), encode_text, tokenize, **about
    )


def _pooled(out: Any) -> Any:
    """Projected features: transformers 5 wraps them in an output object, transformers 4 does
    not.
    """
    return getattr(out, "pooler_output", out)


@dataclass(frozen=True)
class ProcessorTransform:
    """A transformers image processor as a function of one PIL image, with the processor in its
    repr.
    """

    processor: Any

    def __call__(self, image):
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]

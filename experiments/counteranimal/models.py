"""A model by its specification, loaded by the library that it comes from, with that library's preprocessing.

    open_clip:NAME[/TAG]            NAME may also be local-dir:FOLDER, a folder with open_clip_config.json
    torchvision:NAME[/WEIGHTS]      WEIGHTS defaults to IMAGENET1K_V1, the ones [W] uses
    timm:NAME[.TAG]                 without a tag a weights file is required
    hf:FOLDER                       a local transformers CLIP folder

Weights come from a tag (downloaded, or found in the library's cache) or from a file. Files are read without
running anything stored in them, unless the user says otherwise.
"""

import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from experiments.errors import RequestError, nearest, unknown

KINDS = ("open_clip", "torchvision", "timm", "hf")
Activation = Literal["auto", "on", "off"]  # QuickGELU
INSTALL = "install the models' libraries with: python -m pip install -e '.[clip]' in the checkout"


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


def load_model(
    spec: str, weights: Path | None = None, quick_gelu: Activation = "auto", trust_pickle: bool = False
) -> LoadedModel:
    """Load `spec` on the CPU in float32.

    Raises RequestError for an unknown library, name or tag, weights that cannot be had or do not fit.
    """
    kind, _, name = spec.partition(":")
    if kind not in KINDS or not name:
        raise RequestError(
            f"model {spec!r} does not start with one of {', '.join(k + ':' for k in KINDS)}; "
            f"the nearest is {nearest(kind, KINDS)}:{name or 'NAME'}"
        )
    if weights is not None and not weights.is_file():
        raise RequestError(f"there is no weights file {str(weights)!r}; leave --weights out to use the tag's own")
    if kind in ("torchvision", "timm") and quick_gelu != "auto":
        raise RequestError(f"--quick-gelu {quick_gelu} is for CLIP models; {spec!r} takes --quick-gelu auto only")
    load = {"open_clip": _open_clip, "torchvision": _torchvision, "timm": _timm, "hf": _transformers}[kind]
    try:
        model = load(name, weights, quick_gelu, trust_pickle)
    except ImportError as error:
        raise RequestError(f"{spec!r} needs {error.name or kind}, which is not installed; {INSTALL}") from error
    model.module.eval()  # open_clip hands models over in training mode
    settings = {
        "activation": activations(model.module),
        "weights_hash": weights_hash(model.module),
        "preprocessing": described(model.preprocess),
        "quick_gelu": quick_gelu,
        **model.settings,
    }
    return LoadedModel(spec, **{**_shallow(model), "settings": settings})


def _shallow(model: LoadedModel) -> dict[str, Any]:
    names = ("family", "module", "encode_image", "preprocess", "encode_text", "tokenizer")
    return {name: getattr(model, name) for name in names}


def activations(module) -> str:
    """The nonlinearities found in a model, joined by +, for instance QuickGELU."""
    names = {
        type(part).__name__
        for part in module.modules()
        if type(part).__module__.endswith(("activation", "activations")) or type(part).__name__ == "QuickGELU"
    }
    return "+".join(sorted(names - {"MultiheadAttention"})) or "unknown"


def weights_hash(module) -> str:
    """SHA-256 of a model's parameters and buffers, names and bytes, in the order of their names."""
    import torch

    digest = sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def described(preprocess: Callable) -> str:
    """The preprocessing in words, without addresses, so that equal pipelines have equal descriptions."""
    return re.sub(r"\s+", " ", re.sub(r" at 0x[0-9a-f]+", "", repr(preprocess)))


def _open_clip(name: str, weights: Path | None, quick_gelu: Activation, trust_pickle: bool) -> LoadedModel:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2

    tag = None
    if not name.startswith("local-dir:"):
        name, _, tag = name.partition("/")
        if name not in open_clip.list_models():
            raise RequestError(
                f"open_clip has no model {name!r}; the nearest name is {nearest(name, open_clip.list_models())!r}"
            )
        tags = open_clip.list_pretrained_tags_by_model(name)
        if tag and tag not in tags:
            raise RequestError(
                f"open_clip has no tag {tag!r} for {name}; the nearest is {nearest(tag, tags)!r} of {', '.join(tags)}"
            )
        if not tag and weights is None:
            hint = f"for instance open_clip:{name}/{tags[0]}" if tags else "this name has no tags"
            raise RequestError(f"open_clip:{name} names no weights; add a tag ({hint}) or pass --weights FILE")
    config = _local_config(name) if tag is None else open_clip.get_model_config(name)
    published = get_pretrained_cfg(name, tag) if tag else {}
    # The activation that the weights were trained with is the tag's business, not the model name's.
    quick = published.get("quick_gelu", False) if tag else config.get("quick_gelu", False)
    quick = {"auto": bool(quick), "on": True, "off": False}[quick_gelu]
    file, origin = _open_clip_weights(name, tag, weights, published)
    with _hub(f"the configuration of {name}"), _quiet():
        keys = ("mean", "std", "interpolation", "resize_mode")
        module = open_clip.create_model(
            name,
            load_weights=False,
            pretrained_text=False,
            quick_gelu=quick,
            force_preprocess_cfg={k: published[k] for k in keys if k in published},
        )
        tokenizer = open_clip.get_tokenizer(name)
    with _fitting(file, trust_pickle):
        open_clip.load_checkpoint(module, str(file), weights_only=not trust_pickle)
    preprocess = image_transform_v2(PreprocessCfg(**module.visual.preprocess_cfg), is_train=False)
    settings = {"weights": origin, "versions": _versions("open_clip_torch", "torch", "torchvision", "pillow")}
    return LoadedModel("", "CLIP", module, module.encode_image, preprocess, module.encode_text, tokenizer, settings)


def _local_config(name: str) -> dict[str, Any]:
    import open_clip

    try:
        return open_clip.get_model_config(name)
    except (OSError, ValueError) as error:
        raise RequestError(f"{name!r} is no folder with an open_clip_config.json ({error})") from error


def _open_clip_weights(name: str, tag: str | None, weights: Path | None, published: dict) -> tuple[Path, str]:
    """(file, where it came from)."""
    from open_clip.pretrained import download_pretrained

    if weights is not None:
        return weights, f"file {weights.name}"
    if tag:
        with _hub(f"weights of open_clip:{name}/{tag}"):
            return Path(download_pretrained(published)), f"tag {tag}"
    folder = Path(name.removeprefix("local-dir:"))
    found = sorted(path for suffix in ("safetensors", "bin", "pt", "pth") for path in folder.glob(f"*.{suffix}"))
    if len(found) != 1:
        raise RequestError(f"{str(folder)!r} holds {len(found)} weights files, one is needed; pass --weights FILE")
    return found[0], f"file {found[0].name}"


def _torchvision(name: str, weights: Path | None, quick_gelu: Activation, trust_pickle: bool) -> LoadedModel:
    import torch
    from torchvision import models

    name, _, tag = name.partition("/")
    known = models.list_models(module=models)
    if name not in known:
        raise RequestError(f"torchvision has no model {name!r}; the nearest name is {nearest(name, known)!r}")
    choices = {w.name: w for w in models.get_model_weights(name) if len(w.meta["categories"]) == 1000}
    tag = tag or "IMAGENET1K_V1"
    if tag not in choices:
        raise unknown(f"torchvision:{name} weights", tag, choices)
    if weights is None:
        with _hub(f"weights of torchvision:{name}/{tag}", host="download.pytorch.org"):
            module = models.get_model(name, weights=choices[tag], progress=False)
    else:
        # These two are built differently for pretrained weights, and initialise slowly otherwise.
        extra = {"transform_input": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        module = models.get_model(name, weights=None, **extra)
        with _fitting(weights, trust_pickle):
            module.load_state_dict(_state(weights, trust_pickle, torch))
    origin = f"file {weights.name}" if weights else f"tag {tag}"
    settings = {"weights": origin, "versions": _versions("torchvision", "torch", "pillow")}
    return LoadedModel("", "ImageNet", module, module, choices[tag].transforms(), settings=settings)


def _state(weights: Path, trust_pickle: bool, torch) -> dict[str, Any]:
    if weights.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(weights)
    state = torch.load(weights, map_location="cpu", weights_only=not trust_pickle)
    return state.get("state_dict", state)


def _timm(name: str, weights: Path | None, quick_gelu: Activation, trust_pickle: bool) -> LoadedModel:
    import timm

    base, _, tag = name.partition(".")
    if base not in timm.list_models():
        raise RequestError(f"timm has no model {base!r}; the nearest name is {nearest(base, timm.list_models())!r}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise RequestError(
            f"timm has no tag {tag!r} for {base}; the nearest is {nearest(tag, tags)!r} of {', '.join(tags)}"
        )
    if not tag and weights is None:
        hint = f"for instance timm:{base}.{tags[0]}" if tags else "this name has no tags"
        raise RequestError(f"timm:{base} names no weights; add a tag ({hint}) or pass --weights FILE")
    if weights is None:
        with _hub(f"weights of timm:{name}"):
            module = timm.create_model(name, pretrained=True)
    else:
        module = timm.create_model(name, pretrained=False)
        with _fitting(weights, trust_pickle):
            timm.models.load_checkpoint(module, str(weights), weights_only=not trust_pickle)
    if module.num_classes != 1000:
        raise RequestError(
            f"timm:{name} has {module.num_classes} classes, not the 1000 of ImageNet-1k; choose an in1k tag"
        )
    preprocess = timm.data.create_transform(**timm.data.resolve_model_data_config(module), is_training=False)
    origin = f"file {weights.name}" if weights else f"tag {tag}"
    settings = {"weights": origin, "versions": _versions("timm", "torch", "torchvision", "pillow")}
    return LoadedModel("", "ImageNet", module, module, preprocess, settings=settings)


def _transformers(name: str, weights: Path | None, quick_gelu: Activation, trust_pickle: bool) -> LoadedModel:
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, CLIPModel

    folder = Path(name)
    if not (folder / "config.json").is_file():
        raise RequestError(f"hf:{name} is no folder with a config.json; pass the folder of a downloaded CLIP model")
    if weights is not None:
        raise RequestError("--weights does not go with hf:FOLDER, whose weights are in the folder; leave it out")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if quick_gelu != "auto":
            act = "quick_gelu" if quick_gelu == "on" else "gelu"
            config.vision_config.hidden_act = config.text_config.hidden_act = act
        module = CLIPModel.from_pretrained(folder, config=config, local_files_only=True)
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise RequestError(f"hf:{name} cannot be loaded ({_first_line(error)})") from error
    length = config.text_config.max_position_embeddings
    settings = {"weights": f"folder {folder.name}", "versions": _versions("transformers", "torch", "pillow")}
    return LoadedModel(
        "",
        "CLIP",
        module,
        _Pooled(module.get_image_features, "pixel_values"),
        ProcessorTransform(processor),
        _Pooled(module.get_text_features, "input_ids"),
        _Tokens(tokenizer, length),
        settings,
    )


@dataclass(frozen=True)
class _Pooled:
    """transformers 5 wraps projected features in an output object, transformers 4 returns them bare."""

    features: Callable
    argument: str

    def __call__(self, x):
        out = self.features(**{self.argument: x})
        return getattr(out, "pooler_output", out)


@dataclass(frozen=True)
class _Tokens:
    tokenizer: Any
    length: int

    def __call__(self, texts: list[str]):
        # Attention is causal, so what follows the end-of-text token cannot matter and needs no mask.
        ids = self.tokenizer(texts, padding="max_length", truncation=True, max_length=self.length, return_tensors="pt")
        return ids["input_ids"]


@dataclass(frozen=True)
class ProcessorTransform:
    """A transformers image processor as a function of one PIL image."""

    processor: Any

    def __call__(self, image):
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]


@contextmanager
def _hub(what: str, host: str = "huggingface.co") -> Iterator[None]:
    """Fetch from a hub, or from its cache without one; failure is one sentence that names the way out.

    Without a network the hub's client would retry for most of a minute, so it is told to look in its cache only.
    """
    import huggingface_hub.constants as hub

    offline = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = offline or not _reachable(host)
    try:
        yield
    except Exception as error:  # each library wraps the failure of a download in types of its own
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"{what} could not be fetched from {host} ({_first_line(error).partition('. ')[0]}); "
            "download the file where there is a network and pass it with --weights FILE"
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = offline


@contextmanager
def _quiet() -> Iterator[None]:
    """Building a model before its weights are loaded makes open_clip warn that they were not."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


def _reachable(host: str) -> bool:
    import urllib.request

    if urllib.request.getproxies():
        return True  # a proxy resolves names for us; let the client find out
    try:
        with socket.create_connection((host, 443), timeout=3):
            return True
    except OSError:
        return False


@contextmanager
def _fitting(file: Path, trust_pickle: bool) -> Iterator[None]:
    """Loading a weights file into a model: says which keys do not fit, and refuses code."""
    try:
        yield
    except Exception as error:  # torch, timm, open_clip and pickle each have types of their own here
        text = str(error)
        keys = [a or b for a, b in re.findall(r'"([^"\s]+)"|size mismatch for ([^:]+):', text)]
        if "TorchScript" in text or "weights_only" in text.lower() or "Unsupported" in text:
            raise RequestError(
                f"{str(file)!r} stores code beside its weights (TorchScript or pickle), which loading would run; "
                "convert it to safetensors, or pass --trust-pickle if you trust its origin"
            ) from error
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise RequestError(
                f"the weights in {str(file)!r} do not fit the model: missing, unexpected or of another shape are "
                f"{', '.join(keys[:3])}{more}"
            ) from error
        raise RequestError(f"{str(file)!r} cannot be read as weights ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200].rstrip(".") or type(error).__name__


def _versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}

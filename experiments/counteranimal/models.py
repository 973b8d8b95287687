"""A model by its specification, loaded by the library that it comes from, with that library's preprocessing.

    open_clip:NAME[/TAG]            NAME may also be local-dir:FOLDER, a folder with open_clip_config.json
    torchvision:NAME[/WEIGHTS]      WEIGHTS defaults to IMAGENET1K_V1, the ones [W] uses
    timm:NAME[.TAG]                 without a tag a weights file is required
    hf:FOLDER or hf:ORG/NAME        a CLIP, SigLIP or their kin of the transformers library
    lvlm:FOLDER or lvlm:ORG/NAME    a vision language model of that library, which has no features: `load_any`

Weights come from a tag (downloaded, or found in the library's cache) or from a file. Files are read without
running anything stored in them, unless the user says otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.counteranimal import transformers_models
from experiments.counteranimal.identity import versions
from experiments.counteranimal.loaded import Activation, LoadedModel, Reading, finished
from experiments.counteranimal.lvlm import loading as language_models
from experiments.counteranimal.lvlm.language import LanguageModel
from experiments.counteranimal.weights import fitting, hub, quiet, read_state, unreadable
from experiments.errors import RequestError, unknown
from simulator.naming import suggestion

KINDS = ("open_clip", "torchvision", "timm", "hf")
LANGUAGE = "lvlm"
INSTALL = "install the models' libraries with: python -m pip install -e '.[clip]' in the checkout"


def load_any(spec: str, *how: Any) -> LoadedModel | LanguageModel:
    """A model of either kind, with features as `load_model` loads it or answering questions."""
    kind, _, name = spec.partition(":")
    if kind != LANGUAGE or not name:
        return load_model(spec, *how)
    with _library(spec, "transformers"):
        return language_models.load(name, Reading(*how))


def load_model(
    spec: str,
    weights: Path | None = None,
    quick_gelu: Activation = "auto",
    trust_pickle: bool = False,
    averaged: bool | None = None,
) -> LoadedModel:
    """Load `spec` on the CPU in float32; `averaged` takes the running mean of the weights in a classifier's file.

    Raises RequestError for an unknown library, name or tag, weights that cannot be had or do not fit.
    """
    kind, _, name = spec.partition(":")
    if kind == LANGUAGE and name:
        raise RequestError(f"{spec} has no features of photos, only answers to a question; evaluate takes it")
    if kind not in KINDS or not name:
        kinds = (*KINDS, LANGUAGE)
        raise RequestError(
            f"model {spec!r} does not start with one of {', '.join(k + ':' for k in kinds)}"
            f"{suggestion(spec, [f'{k}:{name}' for k in kinds])}"
        )
    if weights is not None and not weights.is_file():
        raise RequestError(f"there is no weights file {str(weights)!r}; leave --weights out to use the tag's own")
    if kind in ("torchvision", "timm") and quick_gelu != "auto":
        raise RequestError(f"--quick-gelu {quick_gelu} is for CLIP models; {spec!r} takes --quick-gelu auto only")
    if averaged is not None and (kind not in ("torchvision", "timm") or weights is None):
        raise RequestError(f"--ema and --no-ema are for a --weights file of timm or torchvision, not for {spec!r}")
    load = {"open_clip": _open_clip, "torchvision": _torchvision, "timm": _timm, "hf": transformers_models.load}[kind]
    with _library(spec, kind):
        model = load(name, Reading(weights, quick_gelu, trust_pickle, averaged))
    return finished(replace(model, spec=spec, settings={"quick_gelu": quick_gelu, "ema": averaged, **model.settings}))


@contextmanager
def _library(spec: str, kind: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise RequestError(f"{spec!r} needs {error.name or kind}, which is not installed; {INSTALL}") from error


def _open_clip(name: str, how: Reading) -> LoadedModel:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2

    tag = None
    if not name.startswith("local-dir:"):
        name, _, tag = name.partition("/")
        if name not in open_clip.list_models():
            raise RequestError(
                f"open_clip has no model {name!r}{suggestion(name, open_clip.list_models(), quoted=True)}"
            )
        tags = open_clip.list_pretrained_tags_by_model(name)
        if tag and tag not in tags:
            raise RequestError(
                f"open_clip has no tag {tag!r} for {name}{suggestion(tag, tags, quoted=True)}; it has {', '.join(tags)}"
            )
        if not tag and how.weights is None:
            hint = f"for instance open_clip:{name}/{tags[0]}" if tags else "this name has no tags"
            raise RequestError(f"open_clip:{name} names no weights; add a tag ({hint}) or pass --weights FILE")
    config = _local_config(name) if tag is None else open_clip.get_model_config(name)
    published = get_pretrained_cfg(name, tag) if tag else {}
    # The activation that the weights were trained with is the tag's business, not the model name's.
    quick = published.get("quick_gelu", False) if tag else config.get("quick_gelu", False)
    quick = {"auto": bool(quick), "on": True, "off": False}[how.quick_gelu]
    file, origin = _open_clip_weights(name, tag, how.weights, published)
    tokenizer = _open_clip_tokenizer(name, config, file.parent if how.weights is not None else None)
    with hub(f"the configuration of {name}"), quiet():
        keys = ("mean", "std", "interpolation", "resize_mode")
        module = open_clip.create_model(
            name,
            load_weights=False,
            pretrained_text=False,
            quick_gelu=quick,
            force_preprocess_cfg={k: published[k] for k in keys if k in published},
        )
    with fitting(file, how.trust_pickle):
        open_clip.load_checkpoint(module, str(file), weights_only=not how.trust_pickle)
    preprocess = image_transform_v2(PreprocessCfg(**module.visual.preprocess_cfg), is_train=False)
    settings = {"weights": origin, "versions": versions(("open_clip_torch", "torch", "torchvision", "pillow"))}
    return LoadedModel("", "CLIP", module, module.encode_image, preprocess, module.encode_text, tokenizer, settings)


def _open_clip_tokenizer(name: str, config: dict[str, Any], beside: Path | None):
    """The tokenizer that open_clip names; one from a hub may also lie `beside` a weights file.

    A SigLIP's tokenizer is no part of its weights file, so a machine without a network needs its files too.
    """
    import open_clip

    text = config.get("text_cfg", {})
    source = text.get("hf_tokenizer_name")
    if source and beside is not None and (beside / "tokenizer_config.json").is_file():
        with unreadable(f"the tokenizer in {str(beside)!r}"):
            return open_clip.tokenizer.HFTokenizer(
                str(beside),
                context_length=text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH),
                tokenizer_mode=text.get("tokenizer_mode"),
                **text.get("tokenizer_kwargs", {}),
            )
    whose = f" of {source}" if source else ""
    way_out = f"download the tokenizer files{whose} and put them into the folder of the --weights FILE"
    with hub(f"the tokenizer of open_clip:{name}", way_out), quiet():
        return open_clip.get_tokenizer(name)


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
        with hub(f"weights of open_clip:{name}/{tag}"):
            return Path(download_pretrained(published)), f"tag {tag}"
    folder = Path(name.removeprefix("local-dir:"))
    found = sorted(path for suffix in ("safetensors", "bin", "pt", "pth") for path in folder.glob(f"*.{suffix}"))
    if len(found) != 1:
        raise RequestError(f"{str(folder)!r} holds {len(found)} weights files, one is needed; pass --weights FILE")
    return found[0], f"file {found[0].name}"


def _torchvision(name: str, how: Reading) -> LoadedModel:
    from torchvision import models

    name, _, tag = name.partition("/")
    known = models.list_models(module=models)
    if name not in known:
        raise RequestError(f"torchvision has no model {name!r}{suggestion(name, known, quoted=True)}")
    choices = {w.name: w for w in models.get_model_weights(name) if len(w.meta["categories"]) == 1000}
    tag = tag or "IMAGENET1K_V1"
    if tag not in choices:
        raise unknown(f"torchvision:{name} weights", tag, choices)
    if how.weights is None:
        with hub(f"weights of torchvision:{name}/{tag}", host="download.pytorch.org"):
            module = models.get_model(name, weights=choices[tag], progress=False)
    else:
        # These two are built differently for pretrained weights, and initialise slowly otherwise.
        extra = {"transform_input": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        module = models.get_model(name, weights=None, **extra)
        with fitting(how.weights, how.trust_pickle):
            module.load_state_dict(read_state(how.weights, how.trust_pickle, how.averaged))
    origin = f"file {how.weights.name}" if how.weights else f"tag {tag}"
    settings = {"weights": origin, "versions": versions(("torchvision", "torch", "pillow"))}
    return LoadedModel("", "ImageNet", module, module, choices[tag].transforms(), settings=settings)


def _timm(name: str, how: Reading) -> LoadedModel:
    import timm

    base, _, tag = name.partition(".")
    if base not in timm.list_models():
        raise RequestError(f"timm has no model {base!r}{suggestion(base, timm.list_models(), quoted=True)}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise RequestError(
            f"timm has no tag {tag!r} for {base}{suggestion(tag, tags, quoted=True)}; it has {', '.join(tags)}"
        )
    if not tag and how.weights is None:
        hint = f"for instance timm:{base}.{tags[0]}" if tags else "this name has no tags"
        raise RequestError(f"timm:{base} names no weights; add a tag ({hint}) or pass --weights FILE")
    if how.weights is None:
        with hub(f"weights of timm:{name}"):
            module = timm.create_model(name, pretrained=True)
    else:
        module = timm.create_model(name, pretrained=False)
        with fitting(how.weights, how.trust_pickle):
            if how.weights.suffix == ".npz":  # the first vision transformers, under names of their own
                module.load_pretrained(str(how.weights))
            else:
                module.load_state_dict(read_state(how.weights, how.trust_pickle, how.averaged))
    if module.num_classes != 1000:
        raise RequestError(
            f"timm:{name} has {module.num_classes} classes, not the 1000 of ImageNet-1k; choose an in1k tag"
        )
    preprocess = timm.data.create_transform(**timm.data.resolve_model_data_config(module), is_training=False)
    origin = f"file {how.weights.name}" if how.weights else f"tag {tag}"
    settings = {"weights": origin, "versions": versions(("timm", "torch", "torchvision", "pillow"))}
    return LoadedModel("", "ImageNet", module, module, preprocess, settings=settings)

"""A model by its specification, loaded by the library that it comes from, with that library's preprocessing.

    open_clip:NAME[/TAG]            NAME may also be local-dir:FOLDER, a folder with open_clip_config.json, or
                                    hf-hub:ORG/NAME, the same on the hub
    torchvision:NAME[/WEIGHTS]      WEIGHTS defaults to IMAGENET1K_V1, the ones [W] uses
    timm:NAME[.TAG]                 without a tag a weights file is required
    hf:FOLDER or hf:ORG/NAME        a CLIP, SigLIP or their kin of the transformers library
    python:FILE.py                  a model of one's own, as `python_models` says
    lvlm:FOLDER or lvlm:ORG/NAME    a vision language model of that library, which has no features

Weights come from a tag (downloaded, or found in the library's cache) or from a file. Files are read without
running anything stored in them, unless the user says otherwise.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.counteranimal import python_models, transformers_models
from experiments.counteranimal.identity import versions
from experiments.counteranimal.labels import CLASS_COUNT
from experiments.counteranimal.loaded import Activation, LoadedModel, Reading, finished
from experiments.counteranimal.lvlm import loading as language_models
from experiments.counteranimal.lvlm.language import LanguageModel
from experiments.counteranimal.weights import fitting, hub, quiet, read_state, unreadable
from experiments.errors import RequestError, unknown
from simulator.naming import suggestion

KINDS = ("open_clip", "torchvision", "timm", "hf", "python", "lvlm")
LANGUAGE = "lvlm"
PLACES = ("local-dir:", "hf-hub:")  # what open_clip loads without a tag
PLAIN = Reading()
INSTALL = "install the models' libraries with: python -m pip install -e '.[clip]' in the checkout"


def checked(spec: str, how: Reading) -> tuple[str, str]:
    """(kind, name) of a specification, as far as can be said without loading anything.

    Raises RequestError for an unknown library or model name, a weights file that is not there, and flags that do not
    go with the kind.
    """
    kind, _, name = spec.partition(":")
    if kind not in KINDS or not name:
        raise RequestError(
            f"model {spec!r} does not start with one of {', '.join(k + ':' for k in KINDS)}"
            f"{suggestion(spec, [f'{k}:{name}' for k in KINDS])}"
        )
    if how.weights is not None and not how.weights.is_file():
        raise RequestError(f"there is no weights file {str(how.weights)!r}; leave --weights out to use the tag's own")
    if kind in ("torchvision", "timm", "python") and how.quick_gelu != "auto":
        raise RequestError(f"--quick-gelu {how.quick_gelu} is for CLIP models; {spec!r} takes --quick-gelu auto only")
    if how.averaged is not None and (kind not in ("torchvision", "timm") or how.weights is None):
        raise RequestError(f"--ema and --no-ema are for a --weights file of timm or torchvision, not for {spec!r}")
    try:
        CHECKS[kind](name, how)
    except ImportError as error:
        raise _not_installed(spec, kind, error) from error
    return kind, name


def load_model(
    spec: str,
    weights: Path | None = None,
    quick_gelu: Activation = "auto",
    trust_pickle: bool = False,
    averaged: bool | None = None,
) -> LoadedModel:
    """Load `spec` on the CPU in float32; `averaged` takes the running mean of the weights in a classifier's file.

    Raises RequestError for what `checked` refuses, a language model, weights that cannot be had or do not fit.
    """
    refuse_language(spec)
    return load(spec, Reading(weights, quick_gelu, trust_pickle, averaged))


def refuse_language(spec: str) -> None:
    """Raise RequestError for a model that has no features of photos."""
    if spec.startswith(f"{LANGUAGE}:"):
        raise RequestError(f"{spec} has no features of photos, only answers to a question; evaluate takes it")


def load(spec: str, how: Reading = PLAIN) -> LoadedModel | LanguageModel:
    """`load_model`, as one argument says how; a language model too."""
    kind, name = checked(spec, how)
    try:
        model = LOADERS[kind](name, how)
    except ImportError as error:
        raise _not_installed(spec, kind, error) from error
    if isinstance(model, LanguageModel):
        return model
    settings = {"quick_gelu": how.quick_gelu, "ema": how.averaged, **model.settings}
    return finished(replace(model, spec=spec, settings=settings))


def _not_installed(spec: str, kind: str, error: ImportError) -> RequestError:
    return RequestError(f"{spec!r} needs {error.name or kind}, which is not installed; {INSTALL}")


def _refuse_tag(library: str, name: str, tag: str, specs: list[str], tags: list[str], how: Reading) -> None:
    """A tag that the library does not have, or neither a tag nor a file; `specs` are the name with each tag."""
    if tag and tag not in tags:
        raise RequestError(
            f"{library} has no tag {tag!r} for {name}{suggestion(tag, tags, quoted=True)}; it has {', '.join(tags)}"
        )
    if not tag and how.weights is None:
        hint = f"for instance {specs[0]}" if specs else "this name has no tags"
        raise RequestError(f"{library}:{name} names no weights; add a tag ({hint}) or pass --weights FILE")


def _open_clip_named(name: str, how: Reading) -> tuple[str, str | None]:
    """(name, tag) of a model that open_clip knows; a folder or a hub's repository has no tag."""
    import open_clip

    if name.startswith(PLACES):
        return name, None
    name, _, tag = name.partition("/")
    if name not in open_clip.list_models():
        raise RequestError(f"open_clip has no model {name!r}{suggestion(name, open_clip.list_models(), quoted=True)}")
    tags = open_clip.list_pretrained_tags_by_model(name)
    _refuse_tag("open_clip", name, tag, [f"open_clip:{name}/{known}" for known in tags], tags, how)
    return name, tag


def _open_clip(name: str, how: Reading) -> LoadedModel:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name, tag = _open_clip_named(name, how)
    if name.startswith("hf-hub:"):
        with hub(f"the configuration of {name}", "download its files and pass open_clip:local-dir:FOLDER"):
            config = open_clip.get_model_config(name)
    else:
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
    from open_clip.pretrained import download_pretrained, download_pretrained_from_hf

    if weights is not None:
        return weights, f"file {weights.name}"
    if tag:
        with hub(f"weights of open_clip:{name}/{tag}"):
            return Path(download_pretrained(published)), f"tag {tag}"
    if name.startswith("hf-hub:"):
        with hub(f"weights of open_clip:{name}", "download its files and pass open_clip:local-dir:FOLDER"):
            return Path(download_pretrained_from_hf(name.removeprefix("hf-hub:"))), f"hub {name}"
    folder = Path(name.removeprefix("local-dir:"))
    found = sorted(path for suffix in ("safetensors", "bin", "pt", "pth") for path in folder.glob(f"*.{suffix}"))
    if len(found) != 1:
        raise RequestError(f"{str(folder)!r} holds {len(found)} weights files, one is needed; pass --weights FILE")
    return found[0], f"file {found[0].name}"


def _torchvision_named(name: str, how: Reading) -> tuple[str, str, dict[str, Any]]:
    """(name, weights, all weights for ImageNet-1k that there are) of a classifier of torchvision."""
    from torchvision import models

    name, _, tag = name.partition("/")
    known = models.list_models(module=models)
    if name not in known:
        raise RequestError(f"torchvision has no model {name!r}{suggestion(name, known, quoted=True)}")
    choices = {w.name: w for w in models.get_model_weights(name) if len(w.meta["categories"]) == CLASS_COUNT}
    tag = tag or "IMAGENET1K_V1"
    if tag not in choices:
        raise unknown(f"torchvision:{name} weights", tag, choices)
    return name, tag, choices


def _torchvision(name: str, how: Reading) -> LoadedModel:
    from torchvision import models

    name, tag, choices = _torchvision_named(name, how)
    if how.weights is None:
        with hub(f"weights of torchvision:{name}/{tag}", host="download.pytorch.org"):
            module = models.get_model(name, weights=choices[tag], progress=False)
    else:
        # These two are built differently for pretrained weights, and initialise slowly otherwise.
        extra = {"transform_input": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        module = models.get_model(name, weights=None, num_classes=how.classes or CLASS_COUNT, **extra)
        with fitting(how.weights, how.trust_pickle):
            module.load_state_dict(read_state(how.weights, how.trust_pickle, how.averaged))
    origin = f"file {how.weights.name}" if how.weights else f"tag {tag}"
    settings = {"weights": origin, "versions": versions(("torchvision", "torch", "pillow"))}
    return LoadedModel("", "ImageNet", module, module, choices[tag].transforms(), settings=settings)


def _timm_named(name: str, how: Reading) -> tuple[str, str]:
    """(name, tag) of a classifier of timm."""
    import timm

    base, _, tag = name.partition(".")
    if base not in timm.list_models():
        raise RequestError(f"timm has no model {base!r}{suggestion(base, timm.list_models(), quoted=True)}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{base}.*")]
    _refuse_tag("timm", base, tag, [f"timm:{base}.{known}" for known in tags], tags, how)
    return base, tag


def _timm(name: str, how: Reading) -> LoadedModel:
    import timm

    _, tag = _timm_named(name, how)
    if how.weights is None:
        with hub(f"weights of timm:{name}"):
            module = timm.create_model(name, pretrained=True)
    else:
        module = timm.create_model(name, pretrained=False, num_classes=how.classes or CLASS_COUNT)
        with fitting(how.weights, how.trust_pickle):
            if how.weights.suffix == ".npz":  # the first vision transformers, under names of their own
                module.load_pretrained(str(how.weights))
            else:
                module.load_state_dict(read_state(how.weights, how.trust_pickle, how.averaged))
    if how.weights is None and module.num_classes != CLASS_COUNT:
        raise RequestError(
            f"timm:{name} has {module.num_classes} classes, not the 1000 of ImageNet-1k; choose an in1k tag"
        )
    preprocess = timm.data.create_transform(**timm.data.resolve_model_data_config(module), is_training=False)
    origin = f"file {how.weights.name}" if how.weights else f"tag {tag}"
    settings = {"weights": origin, "versions": versions(("timm", "torch", "torchvision", "pillow"))}
    return LoadedModel("", "ImageNet", module, module, preprocess, settings=settings)


LOADERS = {
    "open_clip": _open_clip,
    "torchvision": _torchvision,
    "timm": _timm,
    "hf": transformers_models.load,
    "python": python_models.load,
    LANGUAGE: language_models.load,
}
CHECKS = {
    "open_clip": _open_clip_named,
    "torchvision": _torchvision_named,
    "timm": _timm_named,
    "hf": transformers_models.check,
    "python": python_models.check,
    LANGUAGE: language_models.check,
}

"""A model by its specification, loaded by the library that it comes from, with that library's preprocessing.

    open_clip:NAME[/TAG]            NAME may also be local-dir:FOLDER, a folder with open_clip_config.json, or
                                    hf-hub:ORG/NAME, the same on the hub
    torchvision:NAME[/WEIGHTS]      WEIGHTS defaults to IMAGENET1K_V1, which [W] uses
    timm:NAME[.TAG]                 without a tag a weights file is required
    hf:FOLDER or hf:ORG/NAME        a CLIP, SigLIP or similar model of the transformers library
    python:FILE.py                  a user's own model, see `python_models`
    lvlm:FOLDER or lvlm:ORG/NAME    a vision language model of transformers, which has no image features

Weights come from a tag (downloaded, or found in the library's cache) or from a file. Code that is stored in a file
runs only if the user says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.counteranimal import python_models, transformers_models
from experiments.counteranimal.labels import CLASS_COUNT
from experiments.counteranimal.lvlm import model as language_models
from experiments.counteranimal.lvlm.model import LanguageModel
from experiments.counteranimal.model import Activation, LoadedModel, LoadOptions, finished, versions
from experiments.counteranimal.weights import fitting, hub, quiet, read_state, unreadable
from experiments.errors import RequestError, unknown
from simulator.naming import suggestion

LANGUAGE = "lvlm"
DEFAULTS = LoadOptions()
PLACES = ("local-dir:", "hf-hub:")  # open_clip loads these without a tag
INSTALL = "install the models' libraries with: python -m pip install -e '.[clip]' in the checkout"


def check_spec(spec: str, options: LoadOptions) -> tuple[str, str]:
    """(kind, name) of a specification, checked as far as possible without loading anything.

    Raises RequestError for an unknown library or model name, a missing weights file, and flags of another kind.
    """
    kind, _, name = spec.partition(":")
    if kind not in LOADERS or not name:
        raise RequestError(
            f"model {spec!r} does not start with one of {', '.join(k + ':' for k in LOADERS)}"
            f"{suggestion(spec, [f'{k}:{name}' for k in LOADERS])}"
        )
    if options.weights is not None and not options.weights.is_file():
        raise RequestError(
            f"there is no weights file {str(options.weights)!r}; leave --weights out to use the tag's own"
        )
    if kind in ("torchvision", "timm", "python", LANGUAGE) and options.quick_gelu != "auto":
        raise RequestError(f"--quick-gelu {options.quick_gelu} is for CLIP models, not for {spec!r}; leave it out")
    if kind in ("hf", "python", LANGUAGE) and options.weights is not None:
        raise RequestError(f"--weights does not go with {kind}:, which has weights of its own; leave it out")
    if options.averaged is not None and (kind not in ("torchvision", "timm") or options.weights is None):
        raise RequestError(f"--ema and --no-ema are for a --weights file of timm or torchvision, not for {spec!r}")
    with _installed(spec):
        CHECKS[kind](name, options)
    return kind, name


def load_model(
    spec: str,
    weights: Path | None = None,
    quick_gelu: Activation = "auto",
    trust_pickle: bool = False,
    averaged: bool | None = None,
) -> LoadedModel:
    """Load `spec` on the CPU in float32; `averaged` takes the running mean of the weights in a classifier's file.

    Raises RequestError for what `check_spec` refuses, a language model, and weights that are missing or do not fit.
    """
    check_has_features(spec)
    return load(spec, LoadOptions(weights, quick_gelu, trust_pickle, averaged))


def check_has_features(spec: str) -> None:
    """Raise RequestError for a language model."""
    if spec.startswith(f"{LANGUAGE}:"):
        raise RequestError(f"{spec} has no image features, only answers to a question; evaluate can score it")


def load(spec: str, options: LoadOptions = DEFAULTS) -> LoadedModel | LanguageModel:
    """The model that `spec` names, which may be a language model."""
    kind, name = check_spec(spec, options)
    with _installed(spec):
        model = LOADERS[kind](name, options)
    if isinstance(model, LanguageModel):
        return model
    settings = {"quick_gelu": options.quick_gelu, "ema": options.averaged, **model.settings}
    configuration = None if model.configuration is None else {"kind": kind, **model.configuration}
    return finished(replace(model, spec=spec, settings=settings, configuration=configuration))


@contextmanager
def _installed(spec: str) -> Iterator[None]:
    """Turns a missing library into a sentence that says how to install it."""
    try:
        yield
    except ImportError as error:
        missing = error.name or spec.partition(":")[0]
        raise RequestError(f"{spec!r} needs {missing}, which is not installed; {INSTALL}") from error


def _check_tag(library: str, name: str, tag: str, specs: list[str], tags: list[str], options: LoadOptions) -> None:
    """Refuse an unknown tag, and a name with neither a tag nor a file; `specs` are the name with each tag."""
    if tag and tag not in tags:
        raise RequestError(
            f"{library} has no tag {tag!r} for {name}{suggestion(tag, tags, quoted=True)}; it has {', '.join(tags)}"
        )
    if not tag and options.weights is None:
        hint = f"for instance {specs[0]}" if specs else "this name has no tags"
        raise RequestError(f"{library}:{name} names no weights; add a tag ({hint}) or pass --weights FILE")


def _open_clip_name(name: str, options: LoadOptions) -> tuple[str, str | None]:
    """(name, tag) of a model that open_clip knows; a folder or a repository of the hub has no tag."""
    import open_clip  # optional extra

    if name.startswith(PLACES):
        return name, None
    name, _, tag = name.partition("/")
    if name not in open_clip.list_models():
        raise RequestError(f"open_clip has no model {name!r}{suggestion(name, open_clip.list_models(), quoted=True)}")
    tags = open_clip.list_pretrained_tags_by_model(name)
    _check_tag("open_clip", name, tag, [f"open_clip:{name}/{known}" for known in tags], tags, options)
    return name, tag


def _open_clip(name: str, options: LoadOptions) -> LoadedModel:
    import open_clip  # optional extra
    from open_clip.pretrained import get_pretrained_cfg
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name, tag = _open_clip_name(name, options)
    config = _open_clip_config(name)
    published = get_pretrained_cfg(name, tag) if tag else {}
    # The weights decide the activation, so the tag's configuration counts and not the model name's.
    quick = published.get("quick_gelu", False) if tag else config.get("quick_gelu", False)
    quick = {"auto": bool(quick), "on": True, "off": False}[options.quick_gelu]
    file, origin = _open_clip_weights(name, tag, options.weights, published)
    tokenizer = _open_clip_tokenizer(name, config, options.weights)
    with hub(f"the configuration of {name}"), quiet():
        keys = ("mean", "std", "interpolation", "resize_mode")
        module = open_clip.create_model(
            name,
            load_weights=False,
            pretrained_text=False,
            quick_gelu=quick,
            force_preprocess_cfg={k: published[k] for k in keys if k in published},
        )
    with fitting(file, options.trust_pickle):
        open_clip.load_checkpoint(module, str(file), weights_only=not options.trust_pickle)
    return LoadedModel(
        "CLIP",
        module,
        module.encode_image,
        image_transform_v2(PreprocessCfg(**module.visual.preprocess_cfg), is_train=False),
        module.encode_text,
        tokenizer,
        {"weights": origin, "versions": versions(("open_clip_torch", "torch", "torchvision", "pillow"))},
        {"config": config, "quick_gelu": quick, "preprocess": module.visual.preprocess_cfg},
    )


def _open_clip_config(name: str) -> dict[str, Any]:
    import open_clip  # optional extra

    if name.startswith("hf-hub:"):
        with hub(f"the configuration of {name}", "download its files and pass open_clip:local-dir:FOLDER"):
            return open_clip.get_model_config(name)
    try:
        return open_clip.get_model_config(name)
    except (OSError, ValueError) as error:
        raise RequestError(f"{name!r} is not a folder with an open_clip_config.json ({error})") from error


def _open_clip_tokenizer(name: str, config: dict[str, Any], weights: Path | None) -> Any:
    """The tokenizer that open_clip names. One from a hub may also lie beside the weights file.

    A SigLIP's tokenizer is not part of its weights file, so a machine without a network needs its files too.
    """
    import open_clip  # optional extra

    text = config.get("text_cfg", {})
    source = text.get("hf_tokenizer_name")
    if source and weights is not None and (weights.parent / "tokenizer_config.json").is_file():
        with unreadable(f"the tokenizer in {str(weights.parent)!r}"):
            return open_clip.tokenizer.HFTokenizer(
                str(weights.parent),
                context_length=text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH),
                tokenizer_mode=text.get("tokenizer_mode"),
                **text.get("tokenizer_kwargs", {}),
            )
    whose = f" of {source}" if source else ""
    way_out = f"download the tokenizer files{whose} and put them into the folder of the --weights FILE"
    with hub(f"the tokenizer of open_clip:{name}", way_out), quiet():
        return open_clip.get_tokenizer(name)


def _open_clip_weights(name: str, tag: str | None, weights: Path | None, published: dict) -> tuple[Path, str]:
    """(file, its origin in words)."""
    from open_clip.pretrained import download_pretrained, download_pretrained_from_hf  # optional extra

    if weights is not None:
        return weights, f"file {weights.name}"
    if tag:
        with hub(f"weights of open_clip:{name}/{tag}"):
            return Path(download_pretrained(published)), f"tag {tag}"
    if name.startswith("hf-hub:"):
        with hub(f"weights of open_clip:{name}", "download its files and pass open_clip:local-dir:FOLDER"):
            return Path(download_pretrained_from_hf(name.removeprefix("hf-hub:"))), f"hub {name}"
    folder = Path(name.removeprefix("local-dir:"))
    files = sorted(path for suffix in ("safetensors", "bin", "pt", "pth") for path in folder.glob(f"*.{suffix}"))
    if len(files) != 1:
        raise RequestError(f"{str(folder)!r} holds {len(files)} weights files, one is needed; pass --weights FILE")
    return files[0], f"file {files[0].name}"


def _torchvision_name(name: str, options: LoadOptions) -> tuple[str, str, dict[str, Any]]:
    """(name, weights, all weights for ImageNet-1k) of a classifier of torchvision."""
    from torchvision import models  # optional extra

    name, _, tag = name.partition("/")
    known = models.list_models(module=models)
    if name not in known:
        raise RequestError(f"torchvision has no model {name!r}{suggestion(name, known, quoted=True)}")
    choices = {w.name: w for w in models.get_model_weights(name) if len(w.meta["categories"]) == CLASS_COUNT}
    tag = tag or "IMAGENET1K_V1"
    if tag not in choices:
        raise unknown(f"torchvision:{name} weights", tag, choices)
    return name, tag, choices


def _torchvision(name: str, options: LoadOptions) -> LoadedModel:
    from torchvision import models  # optional extra

    name, tag, choices = _torchvision_name(name, options)
    classes = options.classes or CLASS_COUNT
    if options.weights is None:
        with hub(f"weights of torchvision:{name}/{tag}", host="download.pytorch.org"):
            module = models.get_model(name, weights=choices[tag], progress=False)
    else:
        # These two are built differently for pretrained weights, and are slow to initialise otherwise.
        extra = {"transform_input": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        module = models.get_model(name, weights=None, num_classes=classes, **extra)
        with fitting(options.weights, options.trust_pickle):
            module.load_state_dict(read_state(options.weights, options.trust_pickle, options.averaged))
    configuration = {"name": name, "classes": classes}
    return _classifier(module, choices[tag].transforms(), options, tag, "torchvision", configuration)


def _timm_name(name: str, options: LoadOptions) -> str:
    """The tag of a classifier of timm."""
    import timm  # optional extra

    base, _, tag = name.partition(".")
    if base not in timm.list_models():
        raise RequestError(f"timm has no model {base!r}{suggestion(base, timm.list_models(), quoted=True)}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{base}.*")]
    _check_tag("timm", base, tag, [f"timm:{base}.{known}" for known in tags], tags, options)
    return tag


def _timm(name: str, options: LoadOptions) -> LoadedModel:
    import timm  # optional extra

    tag = _timm_name(name, options)
    classes = options.classes or CLASS_COUNT
    if options.weights is None:
        with hub(f"weights of timm:{name}"):
            module = timm.create_model(name, pretrained=True)
        if module.num_classes != CLASS_COUNT:
            raise RequestError(
                f"timm:{name} has {module.num_classes} classes, not the 1000 of ImageNet-1k; choose an in1k tag"
            )
    else:
        module = timm.create_model(name, pretrained=False, num_classes=classes)
        with fitting(options.weights, options.trust_pickle):
            if options.weights.suffix == ".npz":  # the first vision transformers, whose weights have other names
                module.load_pretrained(str(options.weights))
            else:
                module.load_state_dict(read_state(options.weights, options.trust_pickle, options.averaged))
    data = timm.data.resolve_model_data_config(module)
    preprocess = timm.data.create_transform(**data, is_training=False)
    configuration = {"name": name, "classes": classes, "data": data}
    return _classifier(module, preprocess, options, tag, "timm", configuration)


def _classifier(
    module: Any, preprocess: Any, options: LoadOptions, tag: str, library: str, configuration: dict[str, Any]
) -> LoadedModel:
    """A classifier whose scores are its module's output."""
    names = dict.fromkeys((library, "torch", "torchvision", "pillow"))
    origin = f"file {options.weights.name}" if options.weights else f"tag {tag}"
    settings = {"weights": origin, "versions": versions(tuple(names))}
    return LoadedModel("ImageNet", module, module, preprocess, settings=settings, configuration=configuration)


LOADERS = {
    "open_clip": _open_clip,
    "torchvision": _torchvision,
    "timm": _timm,
    "hf": transformers_models.load,
    "python": python_models.load,
    LANGUAGE: language_models.load,
}
CHECKS = {
    "open_clip": _open_clip_name,
    "torchvision": _torchvision_name,
    "timm": _timm_name,
    "hf": transformers_models.check,
    "python": python_models.check,
    LANGUAGE: language_models.check,
}

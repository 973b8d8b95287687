"""Loads models from specifications, each with the preprocessing of its own library.

    open_clip:NAME[/TAG]            NAME may also be local-dir:FOLDER, a folder with open_clip_config.json, or
                                    hf-hub:ORG/NAME, the same on the hub
    torchvision:NAME[/WEIGHTS]      WEIGHTS defaults to IMAGENET1K_V1, which [W] uses
    timm:NAME[.TAG]                 without a tag a weights file is required
    hf:FOLDER or hf:ORG/NAME        a CLIP, SigLIP or similar model of the transformers library
    python:FILE.py                  a user's own model, see `_python`
    lvlm:FOLDER or lvlm:ORG/NAME    a vision language model of transformers, which has no image features

Weights come from a tag (downloaded, or found in the library's cache) or from a file. Code that is stored in a file
runs only if the user says so.
"""

import runpy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.errors import RequestError, RunError, unknown
from experiments.photos import transformers_models
from experiments.photos.labels import CLASS_COUNT, library
from experiments.photos.language_models import LanguageModel
from experiments.photos.model import OWN, LoadedModel, LoadOptions, finished, loading, one_line
from simulator.naming import suggestion

DEFAULTS = LoadOptions()
PLACES = ("local-dir:", "hf-hub:")  # open_clip loads these without a tag
FIRST_WEIGHTS = "IMAGENET1K_V1"
BY_FILE = "pass a file with --weights FILE"
BY_FOLDER = "pass the folder of its files as open_clip:local-dir:FOLDER"
PARTS = (("preprocess", "encode_image", "encode_text", "tokenizer"), ("preprocess", "logits"))  # CLIP, classifier
FIELDS = {"logits": "encode_image"}  # of LoadedModel, where they have another name


def check_spec(spec: str, options: LoadOptions) -> None:
    """Raise RequestError for errors in a specification that are known before loading."""
    kind, _, name = spec.partition(":")
    if kind not in KINDS or not name:
        raise RequestError(
            f"model {spec!r} does not start with one of {', '.join(k + ':' for k in KINDS)}"
            f"{suggestion(spec, [f'{k}:{name}' for k in KINDS])}"
        )
    if options.weights is not None and not options.weights.is_file():
        raise RequestError(
            f"there is no weights file {str(options.weights)!r}; leave --weights out to use the tag's own"
        )
    if kind != "open_clip" and options.quick_gelu != "auto":
        raise RequestError(f"--quick-gelu {options.quick_gelu} is for CLIPs of open_clip:, not for {spec!r}")
    if kind in ("hf", "python", "lvlm") and options.weights is not None:
        raise RequestError(f"--weights does not go with {kind}:, whose models have their own weights; leave it out")
    KINDS[kind][0](name, options)


def load_model(spec: str, weights: Path | None = None, **how: Any) -> LoadedModel:
    """Load `spec` on the CPU in float32, unless it is a language model; `how` are the other fields of LoadOptions."""
    if spec.startswith("lvlm:"):
        raise RequestError(f"{spec} has no image features, only answers to a question; evaluate can score it")
    return load(spec, LoadOptions(weights, **how))


def load(spec: str, options: LoadOptions = DEFAULTS) -> LoadedModel | LanguageModel:
    """The model that `spec` names, which may be a language model."""
    check_spec(spec, options)
    kind, _, name = spec.partition(":")
    model = KINDS[kind][1](name, options)
    if isinstance(model, LanguageModel):
        return model
    settings = {"quick_gelu": options.quick_gelu, **model.settings}
    if options.weights is not None:
        settings["weights"] = f"file {options.weights.name}"
    configuration = None if model.configuration is None else {"kind": kind, **model.configuration}
    return finished(replace(model, spec=spec, settings=settings, configuration=configuration))


def _check_name(library: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise RequestError(f"{library} has no model {name!r}{suggestion(name, names, quoted=True)}")


def _check_tag(spec: str, tag: str, tags: list[str], options: LoadOptions) -> None:
    """Refuse an unknown tag, and a name with neither a tag nor a file."""
    if tag and tag not in tags:
        raise unknown(f"tag of {spec}", tag, tags)
    if not tag and options.weights is None:
        raise RequestError(f"{spec} names no weights; add a tag ({', '.join(tags)}) or pass --weights FILE")


def _check_open_clip(spec: str, options: LoadOptions) -> None:
    open_clip = library("open_clip")
    if spec.startswith(PLACES):
        return
    name, _, tag = spec.partition("/")
    _check_name("open_clip", name, open_clip.list_models())
    _check_tag(f"open_clip:{spec}", tag, open_clip.list_pretrained_tags_by_model(name), options)


def _open_clip(spec: str, options: LoadOptions) -> LoadedModel:
    open_clip = library("open_clip")
    name, _, tag = (spec, "", "") if spec.startswith(PLACES) else spec.partition("/")
    file = options.weights
    way_out = "" if spec.startswith(PLACES[0]) else BY_FILE if tag else BY_FOLDER
    with loading(f"open_clip:{spec}", way_out, hub=file is None and bool(way_out)):
        published = open_clip.get_pretrained_cfg(name, tag) if tag else {}
        config = open_clip.get_model_config(name)
        # The activation belongs to the weights, so the tag's configuration overrides the model name's.
        quick = bool((published if tag else config).get("quick_gelu"))
        if options.quick_gelu != "auto":
            quick = options.quick_gelu == "on"
        tokenizer = open_clip.get_tokenizer(name)
        if tag and file is None:
            file = Path(open_clip.pretrained.download_pretrained(published))
        module = open_clip.create_model(
            name,
            load_weights=file is None,
            require_pretrained=file is None,
            weights_only=not options.trust_pickle,
            pretrained_text=False,
            quick_gelu=quick,
            force_preprocess_cfg={
                k: published[k] for k in ("mean", "std", "interpolation", "resize_mode") if k in published
            },
        )
    if file is not None:
        with _fitting(file, options.trust_pickle):
            open_clip.load_checkpoint(module, str(file), weights_only=not options.trust_pickle)
    preprocess = open_clip.transform.PreprocessCfg(**module.visual.preprocess_cfg)
    return LoadedModel(
        "CLIP",
        module,
        module.encode_image,
        open_clip.transform.image_transform_v2(preprocess, is_train=False),
        module.encode_text,
        tokenizer,
        {"weights": f"tag {tag}" if tag else name},
        {"config": config, "quick_gelu": quick, "preprocess": module.visual.preprocess_cfg},
    )


def _torchvision_weights(spec: str, options: LoadOptions) -> Any:
    """torchvision's entry of a classifier's weights, which holds the preprocessing."""
    models = library("torchvision.models")
    name, _, tag = spec.partition("/")
    _check_name("torchvision", name, models.list_models(module=models))
    choices = {w.name: w for w in models.get_model_weights(name) if len(w.meta["categories"]) == CLASS_COUNT}
    if (tag or FIRST_WEIGHTS) not in choices:
        raise unknown(f"torchvision:{name} weights", tag or FIRST_WEIGHTS, choices)
    return choices[tag or FIRST_WEIGHTS]


def _torchvision(spec: str, options: LoadOptions) -> LoadedModel:
    models = library("torchvision.models")
    name, weights = spec.partition("/")[0], _torchvision_weights(spec, options)
    if options.weights is None:
        with loading(f"torchvision:{spec}", BY_FILE):
            module = models.get_model(name, weights=weights, progress=False)
    else:
        # These two are built differently for pretrained weights, and are slow to initialise otherwise.
        extra = {"transform_input": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        module = models.get_model(name, weights=None, num_classes=options.classes or CLASS_COUNT, **extra)
        _load_state(module, options)
    known = {"settings": {"weights": f"tag {weights.name}"}, "configuration": {"name": name}}
    return LoadedModel("ImageNet", module, module, weights.transforms(), **known)


def _check_timm(spec: str, options: LoadOptions) -> None:
    timm = library("timm")
    name, _, tag = spec.partition(".")
    _check_name("timm", name, timm.list_models())
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*")]
    _check_tag(f"timm:{spec}", tag, tags, options)


def _timm(spec: str, options: LoadOptions) -> LoadedModel:
    timm = library("timm")
    if options.weights is None:
        with loading(f"timm:{spec}", BY_FILE, hub=True):
            module = timm.create_model(spec, pretrained=True)
        if module.num_classes != CLASS_COUNT:
            raise RequestError(
                f"timm:{spec} has {module.num_classes} classes, not the 1000 of ImageNet-1k; choose an in1k tag"
            )
    else:
        module = timm.create_model(spec, pretrained=False, num_classes=options.classes or CLASS_COUNT)
        _load_state(module, options)
    data = timm.data.resolve_model_data_config(module)
    preprocess = timm.data.create_transform(**data, is_training=False)
    known = {"settings": {"weights": f"tag {spec.partition('.')[2]}"}, "configuration": {"name": spec, "data": data}}
    return LoadedModel("ImageNet", module, module, preprocess, **known)


def _load_state(module: Any, options: LoadOptions) -> None:
    from timm.models import load_state_dict  # optional extra

    with _fitting(options.weights, options.trust_pickle):
        # The running mean of the weights, if the file has one; names without the prefixes of wrappers.
        module.load_state_dict(load_state_dict(str(options.weights), weights_only=not options.trust_pickle))


@contextmanager
def _fitting(file: Path, trust_pickle: bool) -> Iterator[None]:
    """Turn errors of loading a weights file (wrong weights, stored code) into RequestError."""
    try:
        yield
    except RequestError:
        raise
    except Exception as error:  # torch, safetensors, open_clip and pickle raise different types
        if not trust_pickle and "weights_only" in str(error):
            raise RequestError(
                f"{str(file)!r} holds code beside its weights (TorchScript or pickle), which loading would run; "
                "convert it to safetensors, or pass --trust-pickle if you trust its origin"
            ) from error
        raise RequestError(f"the weights in {str(file)!r} do not fit the model ({one_line(error)})") from error


def _check_python(name: str, options: LoadOptions) -> None:
    if not Path(name).is_file():
        raise RequestError(f"there is no Python file {name!r}; name a file with model(), which returns the model")


def _python(name: str, options: LoadOptions) -> LoadedModel:
    """The model that model() in a user's file returns. The file is executed. Features are not cached: it may change.

        preprocess(image)       PIL image -> tensor (3, H, W)
        encode_image(pixels)    (B, 3, H, W) -> (B, d)      and     encode_text(ids) -> (T, d), tokenizer(texts) -> ids
        logits(pixels)          (B, 3, H, W) -> (B, labels) instead of those three: a score of every label, in order

    A torch module is moved to the device and put into evaluation mode. An attribute `family`, a word, puts the model on
    the line of a family such as CLIP or ImageNet.
    """
    import torch  # start-up time

    try:
        made = runpy.run_path(name)["model"]()
    except Exception as error:  # the user's code may raise anything
        raise RequestError(f"model() of {name!r} failed with {type(error).__name__}: {error}") from error
    parts = next((parts for parts in PARTS if all(callable(getattr(made, part, None)) for part in parts)), None)
    if parts is None:
        needed = ", or ".join(map(", ".join, PARTS))
        raise RequestError(
            f"model() of {name!r} returned a {type(made).__name__}, which lacks methods; it needs {needed}"
        )
    family = getattr(made, "family", OWN)
    if not (isinstance(family, str) and family.strip()):
        raise RequestError(f"the family of model() in {name!r} is {family!r}; expected a word, such as 'CLIP'")

    def guarded(part: str) -> Callable:
        def call(*arguments):
            try:
                return getattr(made, part)(*arguments)
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception as error:  # the user's code may raise anything
                failure = ValueError if part == "preprocess" else RunError  # the photo may be unreadable
                reason = f"{type(error).__name__}: {one_line(error)}"
                raise failure(f"{part}() of {name!r} failed with {reason}") from error

        return call

    module = made if isinstance(made, torch.nn.Module) else torch.nn.Module()
    calls = {FIELDS.get(part, part): guarded(part) for part in parts}
    return LoadedModel(family, module, **calls, settings={"weights": f"file {Path(name).name}"})


# Kind of specification -> (check before loading, loader).
KINDS: dict[str, tuple[Callable[[str, LoadOptions], Any], Callable[[str, LoadOptions], Any]]] = {
    "open_clip": (_check_open_clip, _open_clip),
    "torchvision": (_torchvision_weights, _torchvision),
    "timm": (_check_timm, _timm),
    "hf": (transformers_models.check, transformers_models.load_clip),
    "python": (_check_python, _python),
    "lvlm": (transformers_models.check, transformers_models.load_language_model),
}

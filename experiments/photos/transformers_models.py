"""Models of the transformers library, from a folder or from the hub: zero-shot CLIPs and vision language models.

A CLIP runs as in the library's pipeline for zero-shot image classification: its own image processor, its own tokenizer
and padding, its own projection. Scores are cosines: a scale and a bias do not change their order. Code that is stored
with a model does not run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import RequestError
from experiments.photos.labels import library
from experiments.photos.language_models import ANSWER, QUESTION, LanguageModel, prompt_of
from experiments.photos.model import DISTRIBUTIONS, LoadedModel, LoadOptions, feature_key, loading, weights_hash
from experiments.provenance import versions

# Model types with separate towers for a plain image and a text. SigLIP 2 with fixed resolution has type "siglip".
# Left out: "siglip2" reads patches of any shape; BLIP compares image and text in one tower.
KNOWN = ("align", "altclip", "chinese_clip", "clip", "clipseg", "metaclip_2", "siglip")
SIGLIP_TEXT = 64  # tokens per text in SigLIP's training, with unmasked padding
LONGEST = 77  # tokens per text for the other types, as in CLIP; some towers accept 512
WAY_OUT = "pass the folder of its files"


def check(name: str, options: LoadOptions) -> None:
    """Raises RequestError unless `name` is a folder with a model or may be a name on the hub."""
    folder = Path(name)
    on_hub = name.count("/") == 1 and not folder.exists() and not name.startswith((".", "/", "~"))
    if not on_hub and not (folder / "config.json").is_file():
        raise RequestError(f"{name!r} is neither the folder of a model, with a config.json, nor ORG/NAME on the hub")


def load_clip(name: str, options: LoadOptions) -> LoadedModel:
    transformers, spec = library("transformers"), f"hf:{name}"
    config = _config(spec)
    if config.model_type not in KNOWN:
        raise RequestError(f"{spec} holds a model of type {config.model_type!r}; known types are {', '.join(KNOWN)}")
    module = _module(spec, "AutoModelForZeroShotImageClassification")
    with _loading(spec):
        processor = transformers.AutoImageProcessor.from_pretrained(name)
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    module.float()  # transformers 5 keeps the precision of the file
    siglip = config.model_type == "siglip"
    longest = min(SIGLIP_TEXT if siglip else LONGEST, config.text_config.max_position_embeddings)

    def encode_text(tokens):
        ids, mask = tokens.unbind(1)
        return _pooled(module.get_text_features(ids) if siglip else module.get_text_features(ids, attention_mask=mask))

    return LoadedModel(
        "CLIP",
        module,
        lambda pixels: _pooled(module.get_image_features(pixel_values=pixels)),
        ProcessorTransform(processor),
        encode_text,
        _Tokens(tokenizer, longest, siglip),
        {"weights": name},
        {"config": config.to_dict() | {"_name_or_path": None}, "processor": processor.to_dict()},
    )


def load_language_model(name: str, options: LoadOptions) -> LanguageModel:
    """A causal language model that answers questions about photos, with its own processor."""
    transformers, spec = library("transformers"), f"lvlm:{name}"
    config = _config(spec)
    if type(config) not in transformers.AutoModelForImageTextToText._model_mapping or config.is_encoder_decoder:
        raise RequestError(
            f"{spec} holds a model of type {config.model_type!r}; only models with one causal language model that "
            "answers a question about a photo can be scored (pass a CLIP as hf:)"
        )
    module = _module(spec, "AutoModelForImageTextToText")
    with _loading(spec):
        processor = transformers.AutoProcessor.from_pretrained(name)
        for part in ("tokenizer", "image_processor"):  # without one part, the library returns the other part alone
            if getattr(processor, part, None) is None:
                raise RequestError(
                    f"{spec} has no {part.replace('_', ' ')}; put the model's own files beside its weights"
                )
        prompt = prompt_of(spec, processor)
    weights = weights_hash(module)
    settings = {
        "weights": name,
        "weights_hash": weights,
        "question": QUESTION,
        "answer": ANSWER,
        "prompt": prompt.text,
        "versions": versions(DISTRIBUTIONS),
    }
    backend = getattr(processor.tokenizer, "backend_tokenizer", None)  # None for tokenizers written in Python
    key = feature_key(
        {
            "weights": weights,
            "config": module.config.to_dict() | {"_name_or_path": None},
            "processor": processor.to_dict(),
            "tokenizer": type(processor.tokenizer).__name__,
            "vocabulary": processor.tokenizer.get_vocab() if backend is None else backend.to_str(),
        }
    )
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    return LanguageModel(spec, module.eval(), processor, prompt, key, longest, settings)


def _loading(spec: str) -> Any:
    return loading(spec, WAY_OUT, hub=not Path(spec.partition(":")[2]).exists())


def _config(spec: str) -> Any:
    with _loading(spec):
        return library("transformers").AutoConfig.from_pretrained(spec.partition(":")[2])


def _module(spec: str, kind: str) -> Any:
    """The module; missing or misshapen weights, which the library fills at random, raise RequestError."""
    with _loading(spec):
        module, report = getattr(library("transformers"), kind).from_pretrained(
            spec.partition(":")[2], output_loading_info=True, ignore_mismatched_sizes=True
        )
    lacking = sorted(set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]})
    if lacking:
        raise RequestError(
            f"the weights of {spec} do not fit it: {len(lacking)} are missing or have a wrong shape, first {lacking[0]}"
        )
    return module


def _pooled(out: Any) -> Any:
    """Projected features: transformers 5 wraps them in an output object, transformers 4 does not."""
    return getattr(out, "pooler_output", out)


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

"""Vision language models of the transformers library, from a folder or from the hub; nothing stored in them is run."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from experiments.counteranimal.identity import FORMAT, versions, weights_hash
from experiments.counteranimal.loaded import Reading
from experiments.counteranimal.lvlm.language import LanguageModel
from experiments.counteranimal.lvlm.prompt import ANSWER, QUESTION, Prompt, prompt_of
from experiments.counteranimal.transformers_models import located
from experiments.counteranimal.weights import hub, quiet, unreadable
from experiments.errors import RequestError

# Files of which a folder holds one at least.
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


def check(name: str, how: Reading) -> None:
    """Raises RequestError for what is neither a folder nor a name on the hub, and flags that are of other models."""
    spec = f"lvlm:{name}"
    if how.weights is not None:
        raise RequestError("--weights does not go with lvlm:, whose weights are in the folder; leave it out")
    if how.quick_gelu != "auto":
        raise RequestError(f"--quick-gelu {how.quick_gelu} is for CLIP models; {spec} takes --quick-gelu auto only")
    local, where = located(name, "lvlm")
    if local:
        _complete(spec, Path(where))


def load(name: str, how: Reading) -> LanguageModel:
    """A model of a folder, or of ORG/NAME on the hub or in its cache.

    Raises RequestError for what is no model that answers questions about photos, a folder without processor or
    tokenizer, and weights that do not fit.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    spec = f"lvlm:{name}"
    local, where = located(name, "lvlm")
    way_out = "download its files where there is a network and pass lvlm:FOLDER"
    with unreadable(spec) if local else hub(spec, way_out):
        config = AutoConfig.from_pretrained(where, local_files_only=local)
        _refuse(spec, config)
        processor = AutoProcessor.from_pretrained(where, local_files_only=local)
        prompt = _prompt(spec, processor)
        with quiet():  # the library prints a table of what does not fit
            module, report = AutoModelForImageTextToText.from_pretrained(
                where, config=config, output_loading_info=True, ignore_mismatched_sizes=True, local_files_only=local
            )
    _fits(spec, module, report)
    weights = weights_hash(module)
    settings = {
        "weights": f"folder {Path(name).name}" if local else f"hub {name}",
        "weights_hash": weights,
        "question": QUESTION,
        "answer": ANSWER,
        "prompt": prompt.text,
        "chat_template": prompt.templated,
        "versions": versions(("transformers", "tokenizers", "torch", "pillow")),
    }
    key = _key(weights, module, processor)
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    return LanguageModel(spec, module.eval(), processor, prompt, key, longest, settings)


def _complete(spec: str, folder: Path) -> None:
    for what, names in (("processor", PROCESSORS), ("tokenizer", TOKENIZERS)):
        if not any((folder / name).is_file() for name in names):
            raise RequestError(
                f"{spec} has no {what}: none of {', '.join(names)} is in its folder; put the model's own beside its "
                "weights"
            )


def _refuse(spec: str, config: Any) -> None:
    from transformers import AutoModelForImageTextToText

    if type(config) not in AutoModelForImageTextToText._model_mapping:
        hint = "; pass it as hf:" if config.model_type in ("clip", "siglip") else ""
        raise RequestError(
            f"{spec} holds a model of type {config.model_type!r}, which answers no question about a photo{hint}"
        )
    if config.is_encoder_decoder:
        raise RequestError(
            f"{spec} holds an encoder-decoder of type {config.model_type!r}, whose answers do not go on from the "
            "prompt; models of one causal language model can be scored"
        )


def _prompt(spec: str, processor: Any) -> Prompt:
    """The prompt. The library loads what lacks one of a processor's parts as the other part alone."""
    for part in ("tokenizer", "image_processor"):
        if getattr(processor, part, None) is None:
            raise RequestError(
                f"{spec} has no {part.replace('_', ' ')} in its processor; {PROCESSORS[0]} or {PROCESSORS[1]} should "
                "name one"
            )
    return prompt_of(spec, processor)


def _fits(spec: str, module: Any, report: dict[str, Any]) -> None:
    """The library fills in what is missing, or has another shape, with random numbers, and goes on."""
    lacking = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    if lacking:
        first = next((key for key in module.state_dict() if key in lacking), min(lacking))
        extra = sorted(report["unexpected_keys"])
        instead = f", while {extra[0]} is there and unknown" if extra else ""
        raise RequestError(
            f"the weights of {spec} do not fit its configuration: {len(lacking)} are missing or of another shape, the "
            f"first is {first}{instead}"
        )


def _key(weights: str, module: Any, processor: Any) -> str:
    """A key of everything that changes an answer: all code is the library's, so its version stands for it."""
    parts = {
        "format": FORMAT,
        "versions": versions() | versions(("tokenizers", "sentencepiece")),
        "weights": weights,
        "config": module.config.to_dict() | {"_name_or_path": None},
        "processor": processor.to_dict(),
        "tokenizer": _vocabulary(processor.tokenizer),
    }
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _vocabulary(tokenizer: Any) -> Any:
    """All that a tokenizer does: its own description, or its vocabulary and class where it is written in Python."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return [type(tokenizer).__name__, backend.to_str() if backend is not None else tokenizer.get_vocab()]

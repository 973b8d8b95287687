"""A vision language model of the transformers library, from a folder or from the hub. Stored code does not run.

Such a model has no image features, only answers to a question about a photo.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.counteranimal.encoding import Precision, Runtime
from experiments.counteranimal.lvlm.prompt import ANSWER, QUESTION, Prompt, prompt_of
from experiments.counteranimal.model import LoadOptions, digest, versions, weights_hash
from experiments.counteranimal.transformers_models import located
from experiments.counteranimal.weights import first_line, hub, quiet, unreadable
from experiments.errors import RequestError

# A folder holds at least one file of each.
PROCESSORS = ("processor_config.json", "preprocessor_config.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


@dataclass(frozen=True)
class LanguageModel:
    """A model and the processor that turns a photo and a text into its inputs."""

    spec: str
    module: Any  # a transformers model that generates text, in evaluation mode
    processor: Any
    prompt: Prompt
    key: str  # of everything that changes an answer
    longest: int | None = None  # tokens that it reads, photo included; None if its configuration does not say
    settings: dict[str, Any] = field(default_factory=dict)  # weights, prompt, versions: part of every result
    family: str = "LVLM"

    def place(self, runtime: Runtime) -> None:
        """Move the module to the device, its weights in the given precision.

        Computed buffers keep theirs: rotary frequencies in half precision would shift the positions of long prompts.
        """
        dtype = weights_dtype(runtime.precision)
        for value in self.module.state_dict(keep_vars=True).values():
            if value.is_floating_point():
                value.data = value.data.to(dtype)
        self.module.to(runtime.device)


@dataclass(frozen=True)
class Inputs:
    """A photo -> the inputs of one forward pass: token ids with the photo's among them, pixels, and so on."""

    processor: Any
    text: str
    special: bool

    def __call__(self, image: Any) -> dict[str, Any] | str:
        """The inputs, or the reason why the processor refuses the photo: Qwen's refuses very long ones."""
        try:
            inputs = self.processor(
                images=[image], text=[self.text], add_special_tokens=self.special, return_tensors="pt"
            )
        except Exception as error:  # processors raise different types, perhaps in a decoding process
            return f"{type(error).__name__}: {first_line(error)}"
        return dict(inputs)


def weights_dtype(precision: Precision) -> Any:
    """Weights are in half precision too: autocast would keep 28 GB in memory for seven billion of them."""
    import torch  # start-up time

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def on_device(inputs: dict[str, Any], like: Any) -> dict[str, Any]:
    """Tensors on the device of the parameter `like`, those of the photo in its precision; other values unchanged."""
    moved = dict(inputs)
    for name, value in inputs.items():
        if hasattr(value, "is_floating_point"):
            moved[name] = value.to(like.device, like.dtype if value.is_floating_point() else value.dtype)
    return moved


def check(name: str, options: LoadOptions) -> None:
    """Raises RequestError unless `name` is a complete folder or a name on the hub."""
    local, where = located(name, "lvlm")
    for what, names in (("processor", PROCESSORS), ("tokenizer", TOKENIZERS)) if local else ():
        if not any((Path(where) / file).is_file() for file in names):
            raise RequestError(
                f"lvlm:{name} has no {what}: none of {', '.join(names)} is in its folder; put the model's own beside "
                "its weights"
            )


def load(name: str, options: LoadOptions) -> LanguageModel:
    """A model of a folder, or of ORG/NAME on the hub or in its cache.

    Raises RequestError for a model that does not answer questions about photos, a folder without processor or
    tokenizer, and weights that do not fit.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor  # optional extra

    spec = f"lvlm:{name}"
    local, where = located(name, "lvlm")
    way_out = "download its files where there is a network and pass lvlm:FOLDER"
    with unreadable(spec) if local else hub(spec, way_out):
        config = AutoConfig.from_pretrained(where, local_files_only=local)
        _check_type(spec, config)
        processor = AutoProcessor.from_pretrained(where, local_files_only=local)
        _check_processor(spec, processor)
        prompt = prompt_of(spec, processor)
        with quiet():  # the library prints a table of weights that do not fit
            module, report = AutoModelForImageTextToText.from_pretrained(
                where, config=config, output_loading_info=True, ignore_mismatched_sizes=True, local_files_only=local
            )
    _check_fit(spec, module, report)
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
    key = digest(
        {
            "weights": weights,
            "config": module.config.to_dict() | {"_name_or_path": None},
            "processor": processor.to_dict(),
            "tokenizer": _vocabulary(processor.tokenizer),
            "sentencepiece": versions(("sentencepiece",)),
        }
    )
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    return LanguageModel(spec, module.eval(), processor, prompt, key, longest, settings)


def _check_type(spec: str, config: Any) -> None:
    from transformers import AutoModelForImageTextToText  # optional extra

    if type(config) not in AutoModelForImageTextToText._model_mapping:
        hint = "; pass it as hf:" if config.model_type in ("clip", "siglip") else ""
        raise RequestError(
            f"{spec} holds a model of type {config.model_type!r}, which answers no question about a photo{hint}"
        )
    if config.is_encoder_decoder:
        raise RequestError(
            f"{spec} holds an encoder-decoder of type {config.model_type!r}, whose answers do not continue the prompt; "
            "only models with one causal language model can be scored"
        )


def _check_processor(spec: str, processor: Any) -> None:
    """The library loads a processor that lacks a part as the other part alone."""
    for part in ("tokenizer", "image_processor"):
        if getattr(processor, part, None) is None:
            raise RequestError(
                f"{spec} has no {part.replace('_', ' ')} in its processor; {PROCESSORS[0]} or {PROCESSORS[1]} should "
                "name one"
            )


def _check_fit(spec: str, module: Any, report: dict[str, Any]) -> None:
    """The library fills missing and misshapen weights with random numbers without an error."""
    lacking = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    if lacking:
        first = next((key for key in module.state_dict() if key in lacking), min(lacking))
        extra = sorted(report["unexpected_keys"])
        instead = f", while {extra[0]} is there and unknown" if extra else ""
        raise RequestError(
            f"the weights of {spec} do not fit its configuration: {len(lacking)} are missing or of another shape, the "
            f"first is {first}{instead}"
        )


def _vocabulary(tokenizer: Any) -> Any:
    """A tokenizer's own description, or its class and vocabulary if it is written in Python."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return [type(tokenizer).__name__, backend.to_str() if backend is not None else tokenizer.get_vocab()]

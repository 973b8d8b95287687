"""A vision language model as everything after loading sees it: no features of photos, only answers to a question."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from experiments.counteranimal.encoding import Precision, Runtime
from experiments.counteranimal.lvlm.prompt import Prompt
from experiments.counteranimal.weights import first_line

Note = Callable[[str], None]


@dataclass(frozen=True)
class LanguageModel:
    """A model and the processor that turns photo and text into its inputs."""

    spec: str
    module: Any  # a transformers model that generates text, in evaluation mode
    processor: Any
    prompt: Prompt
    key: str  # of all that changes an answer
    longest: int | None = None  # tokens that it reads, photo included; None where its configuration does not say
    settings: dict[str, Any] = field(default_factory=dict)  # weights, prompt, versions: goes into results
    family: str = "LVLM"

    def place(self, runtime: Runtime) -> None:
        """Move the module to the device, what its file holds in the precision asked.

        Buffers that are computed keep theirs: rotary frequencies in half precision would shift the positions of long
        prompts.
        """
        dtype = weights_dtype(runtime.precision)
        for value in self.module.state_dict(keep_vars=True).values():
            if value.is_floating_point():
                value.data = value.data.to(dtype)
        self.module.to(runtime.device)

    def identity(self, runtime: Runtime, **more: Any) -> dict[str, Any]:
        """Everything that an answer depends on beside the photo. The batch size moves it by rounding only."""
        return {"model": self.key, "precision": runtime.precision, "device": runtime.device.partition(":")[0], **more}


@dataclass(frozen=True)
class Inputs:
    """A photo to the inputs of one forward pass: token ids with the photo's among them, pixels, whatever else."""

    processor: Any
    text: str
    special: bool

    def __call__(self, image: Any) -> dict[str, Any] | str:
        """The inputs, or the reason why the processor takes no such photo: Qwen's refuses very long ones."""
        try:
            found = self.processor(
                images=[image], text=[self.text], add_special_tokens=self.special, return_tensors="pt"
            )
        except Exception as error:  # whatever a processor raises, in a decoding process perhaps
            return f"{type(error).__name__}: {first_line(error)}"
        return dict(found)


def weights_dtype(precision: Precision) -> Any:
    """Half precision holds the weights, too: autocast would keep 28 GB of them for seven billion."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def on_device(inputs: dict[str, Any], like: Any) -> dict[str, Any]:
    """Inputs where a parameter `like` is, numbers of the photo in its precision; what is no tensor as it is."""
    found = dict(inputs)
    for name, value in inputs.items():
        if hasattr(value, "is_floating_point"):
            found[name] = value.to(like.device, like.dtype if value.is_floating_point() else value.dtype)
    return found

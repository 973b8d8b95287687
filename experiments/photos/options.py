"""How models are loaded and run: one declaration, whose fields are flags of the verbs that run a
model.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from experiments.errors import RequestError, check_within
from experiments.photos.labels import Vocabulary, imagenet, own_vocabulary, templates
from experiments.runtime import checked_device


class Options(BaseModel, frozen=True, extra="forbid"):
    """Options of every model. Raises RequestError for one that is not possible here."""

    prompts: str = Field(
        "simple", description="simple, openai80, or a file with one template per line"
    )
    classes: Path | None = Field(
        None,
        description=(
            "your own classes instead of ImageNet's: one class per line, or CSV columns class,"
            " name, prompt"
        ),
    )
    device: str = Field("cpu", description="cpu, cuda, cuda:1, mps")
    batch_size: int = Field(64, description="photos per forward pass; for an lvlm: labels")
    workers: int | None = Field(None, description="decoding threads [default: one per core]")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of the forward pass (autocast)"
    )
    quick_gelu: Literal["auto", "on", "off"] = Field(
        "auto", description="activation of open_clip's models; auto: that of the tag"
    )
    trust_pickle: bool = Field(False, description="run code stored in a weights file")
    cache: Path | None = Field(
        None, description="folder of image features [default: the user's cache folder]"
    )

    def model_post_init(self, _: Any) -> None:
        check_within("--batch-size", self.batch_size, 1, np.inf)
        check_within("--workers", self.threads, 0, np.inf)
        checked_device(self.device)
        if self.precision == "fp16" and self.kind == "cpu":
            raise RequestError("precision 'fp16' needs a CUDA device; on the CPU use fp32 or bf16")

    @property
    def threads(self) -> int:
        """Threads that decode photos; 0 and 1 are one."""
        return (os.cpu_count() or 1) if self.workers is None else self.workers

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return imagenet() if self.classes is None else own_vocabulary(self.classes)

    @cached_property
    def templates(self) -> tuple[str, ...]:
        return templates(self.prompts)

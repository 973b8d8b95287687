"""What twenty labels of a photo cost a vision language model on one shared prefix, beside a pass a label: the peer.

Counted in tokens that pass through the language model, which is what a large model spends, and timed on tiny models
whose photos have an eighth of LLaVA-1.5's tokens; with more, the gain grows towards twenty.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from experiments.benchmarks import tiny_lvlm
from experiments.counteranimal.encoding import Runtime
from experiments.counteranimal.lvlm.losses import label_losses, plain_loss
from experiments.counteranimal.lvlm.model import Inputs, LanguageModel
from experiments.counteranimal.lvlm.prompt import answer_tokens, special_tokens
from experiments.counteranimal.models import load
from simulator.streams import numpy_stream

GOAL = 5.0  # times fewer tokens than the plain loop
SIDE = 128  # pixels: 256 patches
LABELS = tuple(
    f"{colour} {animal}"
    for colour in ("red", "blue", "grey", "tan")
    for animal in ("bear", "fish", "bird", "cat", "dog")
)


def main(device: str) -> None:
    """Print the table as Markdown."""
    print("\n| twenty labels of a photo | tokens | plain loop / ours | goal / ours | time, plain loop / ours |")
    print("|---|---|---|---|---|")
    for family in tiny_lvlm.FAMILIES:
        with TemporaryDirectory() as folder:
            tiny_lvlm.save(Path(folder), family, side=SIDE)
            row = measured(load(f"lvlm:{folder}"), device)
        gain = row["plain_tokens"] / row["tokens"]
        time = row["plain_seconds"] / row["seconds"]
        print(f"| {family}, {device} | {row['tokens']} | {gain:.3g} | {GOAL / gain:.2g} | {time:.3g} |")


def measured(model: LanguageModel, device: str, labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """Tokens and seconds a photo, ours and the plain loop's."""
    from PIL import Image

    model.place(Runtime(device))
    pixels = numpy_stream(0, "benchmark/photo").integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    answers = answer_tokens(model.processor, model.prompt, labels)
    inputs = Inputs(model.processor, model.prompt.text, special_tokens(model.processor, model.prompt.text))

    def ours() -> None:
        label_losses(model.module, inputs(image), answers.dropped, answers.ids, len(labels))

    def plain() -> None:
        for name, ids in zip(labels, answers.ids, strict=True):
            plain_loss(model, image, name, ids)

    found: dict[str, Any] = {}
    for prefix, work in (("", ours), ("plain_", plain)):
        with counted(model.module) as tokens:
            work()  # also warms up
        began = perf_counter()
        work()
        found |= {f"{prefix}tokens": sum(tokens), f"{prefix}seconds": perf_counter() - began}
    return found


@contextmanager
def counted(module: Any) -> Iterator[list[int]]:
    """Numbers of tokens, padding included, of the passes through the language model."""
    seen: list[int] = []
    hook = module.get_input_embeddings().register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].numel()))
    try:
        yield seen
    finally:
        hook.remove()

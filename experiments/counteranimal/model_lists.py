"""Several models by one name: a published table's checkpoints or a file of models, and their published accuracies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.counteranimal.model_config import ModelConfig
from experiments.errors import RequestError
from experiments.published.tables import checkpoints, published_name, published_rows
from simulator.naming import suggestion

TABLE_3 = "table-3"
NONE = Path("-")  # stands for a model without a weights file


def listed(choice: str) -> tuple[list[str], list[Path]]:
    """(specifications, a weights file or - for each) of table-3, or of a file with lines MODEL [WEIGHTS].

    Weights are relative to the file; empty lines and comments after # are ignored. Raises RequestError for an unknown
    word, a file without a model, and more than two words in a line.
    """
    if choice == TABLE_3:
        return [f"published:{c.model}" for c in checkpoints()], [NONE] * len(checkpoints())
    path = Path(choice)
    if not path.is_file():
        raise RequestError(f"--models {choice!r} is neither {TABLE_3} nor a file{suggestion(choice, (TABLE_3,))}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{choice!r} cannot be read ({error}); it needs one model per line") from error
    specs, weights = [], []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if len(words) > 2:
            raise RequestError(f"line {number} of {choice!r} has {len(words)} words; expected MODEL or MODEL WEIGHTS")
        if words:
            specs.append(words[0])
            weights.append(path.parent / words[1] if len(words) == 2 and words[1] != "-" else NONE)
    if not specs:
        raise RequestError(f"{choice!r} names no model; it needs one per line, as open_clip:ViT-B-32/openai")
    return specs, weights


def combined(
    model: Sequence[str] | None, weights: Sequence[Path] | None, models: str | None
) -> tuple[list[str], list[Path] | None]:
    """The models and weights of --model, --weights and --models, in this order. Raises RequestError for no model."""
    specs, files = list(model or ()), weights
    if models is not None:
        more, their = listed(models)
        files = [*(weights or [NONE] * len(specs)), *their]
        specs += more
    if not specs:
        raise RequestError("no model is given; name one with --model, or several with --models")
    return specs, files


def expected(config: ModelConfig, labels: str) -> list[dict[str, Any]]:
    """What would be loaded, and what the paper prints for it with these prompts and labels; plain JSON."""
    rows = {row.model: row for row in published_rows(labels, config.prompts, "macro")}
    found = []
    for spec, options in zip(config.specs, config.options, strict=True):
        name = published_name(spec)
        row = rows.get(name) if name else None
        stated = next((c.stated for c in checkpoints() if c.spec == spec), None)
        found.append(
            {
                "model": spec,
                "weights": "the model's own" if options.weights is None else str(options.weights),
                "published": name,
                "stated": stated,  # whether the paper names this checkpoint, or we infer it
                "printed": None if row is None else {"common": row.common, "counter": row.counter, "drop": row.drop},
            }
        )
    return found

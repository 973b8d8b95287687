"""Fine-tuning a pretrained CLIP on a pixel world: a grid of hyperparameters, chosen by validation
in distribution.
"""

GRID = ("lr", "weight_decay", "warmup")  # chosen by validation
# other fields of the recipe that may be set, besides n
FIXED = ("batch_size", "steps", "schedule", "clip")
# Under the names of Table 7: the loss, and how often captions mention the background.
LEARNERS: dict[str, tuple[str | None, float]] = {
    "zero-shot": (None, 0.0),  # not trained further
    "obj": ("infonce", 0.0),
    "objbkg": ("infonce", 1.0),
    "supervised": ("supervised", 0.0),  # by a linear head that reads labels, in place of captions
}

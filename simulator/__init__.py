"""Worlds, and learners that are fitted or trained on them.

>>> from simulator import Recipe, World, fit, train

Names are loaded on first use, so that `import simulator` does not load torch.
"""

_HOMES = {
    "Accuracy": "simulator.accuracy",
    "Attribute": "simulator.world",
    "Pixels": "simulator.pixels.views",
    "Recipe": "simulator.towers.recipe",
    "World": "simulator.world",
    "fit": "simulator.gaussian.fitting",
    "train": "simulator.towers.api",
}
__doc__ += "\nPublic names:\n\n" + "\n".join(f"- `{home}.{name}`" for name, home in _HOMES.items())


def __getattr__(name: str):
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'simulator' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

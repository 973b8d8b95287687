"""Worlds, and learners that are fitted or trained on them.

>>> from simulator import Recipe, World, fit, train

Names are loaded on first use, so that `import simulator` does not load torch.
"""

from simulator.naming import loaded_on_first_use

_HOMES = {
    "Accuracy": "simulator.accuracy:Accuracy",
    "Attribute": "simulator.world:Attribute",
    "Pixels": "simulator.pixels.views:Pixels",
    "Recipe": "simulator.towers.recipe:Recipe",
    "World": "simulator.world:World",
    "fit": "simulator.gaussian.fitting:fit",
    "train": "simulator.towers.api:train",
}
__getattr__, __dir__, __doc__ = loaded_on_first_use(__name__, __doc__, _HOMES)

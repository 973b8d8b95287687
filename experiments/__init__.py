"""Questions, evidence, words: joins the worlds and learners with the theory.

>>> from experiments import judge, plot

Names are loaded on first use; the package itself imports nothing.
"""

_NAMES = {"judge": "experiments.court.judge", "plot": "experiments.page.plot"}  # name: the module that defines it


def __getattr__(name: str):
    if name in _NAMES:
        from importlib import import_module

        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'experiments' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])

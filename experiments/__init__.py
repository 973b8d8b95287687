"""Studies, trials, photos and pages: experiments on worlds and learners.

>>> from experiments import design, judge, plot, study

Names are loaded on first use; the package itself imports nothing.
"""

_HOMES = {  # name: the module that defines it
    "design": "experiments.lab.presets",
    "designs": "experiments.lab.presets",
    "Mitigation": "experiments.lab.mitigations",
    "embeddings": "experiments.heads.reliance",
    "export": "experiments.ground_truth.export",
    "judge": "experiments.court.trial",
    "mitigated": "experiments.lab.mitigations",
    "place": "experiments.ground_truth.place",
    "plot": "experiments.page.plot",
    "study": "experiments.lab.studies",
}
__doc__ += "\nPublic names:\n\n" + "\n".join(f"- `{home}.{name}`" for name, home in _HOMES.items())


def __getattr__(name: str):
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'experiments' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

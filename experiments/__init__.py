"""Studies, trials, photos and pages: experiments on worlds and learners.

>>> from experiments import design, judge, plot, study

Names are loaded on first use.
"""

from simulator.naming import loaded_on_first_use

_HOMES = {
    "design": "experiments.lab.presets:design",
    "designs": "experiments.lab.presets:designs",
    "Mitigation": "experiments.lab.mitigations:Mitigation",
    "embeddings": "experiments.heads.reliance:embeddings",
    "export": "experiments.ground_truth.export:export",
    "judge": "experiments.court.trial:judge",
    "mitigated": "experiments.lab.mitigations:mitigated",
    "place": "experiments.ground_truth.place:place",
    "plot": "experiments.page.plot:plot",
    "study": "experiments.lab.studies:study",
}
__getattr__, __dir__, __doc__ = loaded_on_first_use(__name__, __doc__, _HOMES)

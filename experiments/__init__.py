"""Questions, evidence, words: joins the worlds and learners with the theory.

>>> from experiments import judge
"""


def __getattr__(name: str):
    if name == "judge":
        from experiments.judge import judge

        return judge
    raise AttributeError(f"module 'experiments' has no attribute {name!r}")

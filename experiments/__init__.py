"""Questions, evidence, words: joins the worlds and learners with the theory.

>>> from experiments import judge
"""

import os

# Threads of torch (GNU OpenMP) that wait for work spin for microseconds before they sleep, not for milliseconds. Beside
# one other busy process on two cores training is 100 times faster so (2.5 and 229 model steps a second), and on quiet
# ones no slower. torch reads it when it is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def __getattr__(name: str):
    if name == "judge":
        from experiments.court.judge import judge

        return judge
    raise AttributeError(f"module 'experiments' has no attribute {name!r}")

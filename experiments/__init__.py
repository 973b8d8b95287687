"""Questions, evidence, words: joins the worlds and learners with the theory.

>>> from experiments import judge
"""

import os

# Threads of torch that wait for work sleep rather than spin. Beside one other busy process training is 50 to 100 times
# faster so, and on a quiet machine no slower. torch reads it when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str):
    if name == "judge":
        from experiments.judge import judge

        return judge
    raise AttributeError(f"module 'experiments' has no attribute {name!r}")

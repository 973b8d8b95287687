"""torch.compile with the shape checker off: the one place that knows both.

The jaxtyping and beartype hook of the test run wraps every annotated function; under torch.compile such
wrappers fail on right shapes or make it fall back in silence. They are switched off while a compiled call lasts.
"""

import functools
import warnings
from collections.abc import Callable

import jaxtyping
import torch


def compiled(function: Callable) -> Callable:
    """`function` compiled as one graph; a graph break is an error, so that "compiled" means it."""
    fast = torch.compile(function, fullgraph=True, dynamic=False)

    @functools.wraps(function)
    def call(*arguments):
        before = jaxtyping.config.jaxtyping_disable
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            with warnings.catch_warnings():
                # Inductor calls functions of torch that torch itself has deprecated; nothing here can mend that.
                for category in (DeprecationWarning, FutureWarning):
                    warnings.filterwarnings("ignore", category=category, module=r"torch\.")
                return fast(*arguments)
        finally:
            jaxtyping.config.update("jaxtyping_disable", before)

    return call

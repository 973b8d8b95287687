"""torch.compile for pure functions, as one graph; without a compiler they run uncompiled."""

import functools
import warnings
from collections.abc import Callable

import torch


def compiled(
    function: Callable, refused: Callable[[str], None] | None = None, *, dynamic: bool | None = False
) -> Callable:
    """A pure `function`, compiled as one graph; a graph break is an error.

    If the compiler fails, `refused` is called with the reason, and the function then runs uncompiled. Without
    `refused` the failure is raised.
    """
    # Imported here for start-up time: these take a second.
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import GPUTooOldForTriton, TritonMissing

    fast = torch.compile(function, fullgraph=True, dynamic=dynamic)

    @functools.wraps(function)
    def call(*arguments):
        nonlocal fast
        try:
            with warnings.catch_warnings():
                # Inductor calls deprecated functions of torch.
                for category in (DeprecationWarning, FutureWarning):
                    warnings.filterwarnings("ignore", category=category, module=r"torch\.")
                return fast(*arguments)
        except (BackendCompilerFailed, TritonMissing, GPUTooOldForTriton) as failure:
            if refused is None:
                raise
            fast = function
            reason = getattr(failure, "inner_exception", None) or failure
            refused(f"{type(reason).__name__}: {str(reason).strip().splitlines()[0]}")
            return function(*arguments)

    return call

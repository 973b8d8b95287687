"""What a route measures in the cells of one learner at one place."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float


@dataclass
class Measurement:
    """What was measured of one learner at one place.

    offset    the place within its region
    values    index of a prompt -> values of every replicate by quantity, nan where a replicate has none
    refusals  index of a prompt -> why nothing was measured
    seconds   per prompt
    """

    offset: tuple[int, ...]
    values: dict[int, dict[str, Float[np.ndarray, " R"]]] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)
    seconds: float = np.nan

"""The checker behind the annotated shapes looks, and then looks away."""

from time import sleep

import jaxtyping
import numpy as np
import pytest
from shapecheck import FIRST

from theory.arithmetic import __name__ as checked_module

from numpy import exp as exp
from numpy import sqrt as sqrt

from theory import learners as learners
from theory.accuracy import Phi as Phi
from theory.claims.claim import Axis as Axis
from theory.claims.claim import Claim as Claim
from theory.ideal_curve import equivalent as equivalent

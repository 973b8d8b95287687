from theory import learners as learners
from theory.arithmetic import Phi as Phi
from theory.arithmetic import exp as exp
from theory.arithmetic import sqrt as sqrt
from theory.claims.claim import Axis as Axis
from theory.claims.claim import Claim as Claim

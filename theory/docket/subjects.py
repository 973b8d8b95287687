"""The learners that many claims are about."""

from theory.learners import Bayes, InfoNCE, LeastSquares, LinearCLIP, Logistic

LINEAR_NAME = LinearCLIP("name")
LINEAR_MEAN = LinearCLIP("mean")
LINEAR_BOTH = (LINEAR_NAME, LINEAR_MEAN)
INFONCE_NAME = InfoNCE("name")
INFONCE_BOTH = (INFONCE_NAME, InfoNCE("mean"))
LOGISTIC = Logistic()
LEAST_SQUARES = LeastSquares()
BAYES = Bayes()

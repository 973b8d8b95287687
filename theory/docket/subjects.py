"""The learners that many claims are about."""

from theory.learners import Bayes, InfoNCE, LeastSquares, LinearCLIP, Logistic

LINEAR_NAME, LINEAR_MEAN = LinearCLIP("name"), LinearCLIP("mean")
LINEAR_BOTH = (LINEAR_NAME, LINEAR_MEAN)
INFONCE_NAME = InfoNCE("name")
INFONCE_BOTH = (INFONCE_NAME, InfoNCE("mean"))
LOGISTIC, LEAST_SQUARES, BAYES = Logistic(), LeastSquares(), Bayes()

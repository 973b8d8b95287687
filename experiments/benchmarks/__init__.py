"""`python -m experiments.benchmarks`: our time, the peer's and the limit's."""

"""`python -m experiments.benchmarks`: our time beside the peer's and the limit's."""

"""`python -m experiments.benchmarks`: ours, the peer and the limit from one run, as ratios."""

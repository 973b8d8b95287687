"""`python -m experiments.benchmarks`."""

from experiments.benchmarks.exact import main

if __name__ == "__main__":
    main()

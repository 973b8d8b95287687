"""`python -m experiments.benchmarks`."""

from experiments.threads import sleep_soon

sleep_soon()

from experiments.benchmarks.exact import main

if __name__ == "__main__":
    main()

"""`python -m experiments` is `soberclip`, for torchrun and for machines without the script on the path."""

from experiments.command.main import main

if __name__ == "__main__":
    raise SystemExit(main())

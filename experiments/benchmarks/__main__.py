"""`python -m experiments.benchmarks`: print every table as Markdown."""

from experiments.command.main import prepare_process

prepare_process(memory=False)  # before torch is imported

import torch

from experiments.benchmarks import exact, study, training
from experiments.benchmarks.timing import print_table


def main() -> None:
    """Everything but training runs on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    print_table("exact parts", exact.rows())
    print_table("studies", study.rows())
    print_table("proofs", exact.proofs())
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print_table(f"losses, {device}", training.loss_rows(device))
    prepare_process()  # last: the rows above measure memory
    print_table(f"training, {device}", training.step_rows(device))


if __name__ == "__main__":
    main()

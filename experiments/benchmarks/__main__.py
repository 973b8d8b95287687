"""`python -m experiments.benchmarks`: print the table as Markdown, each row as soon as it is
measured.
"""

from experiments.command.main import prepare_process

prepare_process()  # before torch is imported

import torch

from experiments.benchmarks import study, training

print("| what | ours | ours / limit | peer / ours | peer; limit |\n|---|---|---|---|---|")
threads = torch.get_num_threads()
torch.set_num_threads(1)
for row in study.rows():
    print(row, flush=True)
torch.set_num_threads(threads)
for row in training.rows("cuda" if torch.cuda.is_available() else "cpu"):
    print(row, flush=True)

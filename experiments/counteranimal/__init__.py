"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos, and the paper's printed tables.

Published tables: `tables`, `audit`, `claims`. Photos to numbers: `dataset`, `labels`, `models`, `cache`,
`encoding`, `evaluation`, `predictions`. Numbers to conclusions: `metrics`, `lines`, `comparison`, `discovery`. Words:
`commands`, `views`. Importing the package imports none of them; only `encoding` and `evaluation` import torch.
"""

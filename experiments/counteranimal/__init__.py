"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos, and the paper's printed tables.

Published tables: `tables`, `audit`, `claims`. Photos to numbers: `dataset`, `labels`, `models`, `cache`,
`evaluation`. Numbers to conclusions: `metrics`, `lines`, `comparison`, `discovery`. Importing the package
imports none of them, and none of them imports torch at module level.
"""

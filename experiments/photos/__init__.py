"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

`models` answer `photos` (`encoding`, `scoring`), and all numbers are functions of the table of
predictions. p' and r of a model's embeddings come from `experiments.heads`, the paper's tables from
`experiments.published`.
"""

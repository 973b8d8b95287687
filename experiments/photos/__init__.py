"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

Photos: `photos`, `labels`. Models: `models`, `libraries`, `language_models`, `model`, `options`.
Predictions: `encoding`, `scoring`, `evaluation`. Numbers from predictions: `metrics`, `summaries`, `robustness`, with
`tables` and `figures`. Other commands: `compose` and `discovery`. p' and r of a model's embeddings come from
`experiments.heads`, the paper's tables from `experiments.published`.
"""

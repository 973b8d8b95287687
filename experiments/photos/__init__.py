"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

Photos: `photos`, `layouts`, `labels`. Models: `models`, `model`, `transformers_models`, `language_models`.
Predictions: `model_config`, `encoding`, `scoring`, `evaluation`, `predictions`. Numbers from predictions: `metrics`,
`summaries`, `robustness`, with `tables` and `figures`. Other commands: `compose` and `discovery`. p' and r of a model's
embeddings come from `experiments.heads`, the paper's tables from `experiments.published`.
"""

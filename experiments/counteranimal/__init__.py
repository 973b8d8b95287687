"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

Photos: `photos`, `layouts`, `labels`. Models: `models`, `model`, `transformers_models`, `language_models`.
Predictions: `encoding`, `scoring`, `evaluation`, `predictions`. Numbers from predictions: `metrics`, `summaries`,
`robustness`, with `figures`. Other commands: `compose`, `discovery`, and `law` with `gaussian_law`. The paper's tables
are in `experiments.published`.
"""

"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

Photos: `photos`, `layouts`, `labels`. Models: `models`, `model`, `transformers_models`, `language_models`.
Predictions: `model_config`, `encoding`, `scoring`, `evaluation`, `predictions`. Numbers from predictions: `metrics`,
`summaries`, `robustness`, with `figures`. Embeddings: `bundle` (files), `linear_heads` and `cross_fitting`,
`gaussian_law` with `law_verdict`, `tradeoff` (p' and r), `reliance` with `reliance_page`. `tables` has the tables of
embeddings and of comparisons. Other commands: `compose` and `discovery`. The paper's tables
are in `experiments.published`.
"""

"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

Photos: `photos`, `layouts`, `class_names`, `labels`. Models: `models`, `model`, `transformers_models`,
`model_config`, `lvlm`. Predictions: `encoding`, `scoring`, `evaluation`, `predictions`. Numbers from predictions:
`metrics`, `summaries`, `robustness`, with `figures` and `report`. Other commands: `compose`, `discovery`, and `law`
with `gaussian_law` and `law_test`. The paper's tables are in `experiments.published`.
"""

"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

Photos: `photos`, `layouts`, `class_names`, `labels`. Models: `models`, `model`, `transformers_models`,
`model_config`, `lvlm`. Answers: `encoding`, `scoring`, `evaluation`. Numbers from answers: `predictions`, `metrics`,
`summaries`, `robustness`, with `figures` and `report`. Other verbs: `compose`, `discovery`, `law`.
The paper's tables are `experiments.published`.
"""

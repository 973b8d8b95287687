"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

Photos: `photos`, `layouts`, `class_names`, `labels`, `inspection`. Models: `models`, `model`, `weights`,
`model_config`, `lvlm`. Predictions: `encoding`, `cache`, `scoring`, `evaluation`. Numbers from predictions:
`predictions`, `metrics`, `breakdown`, `summaries`, `object_effects`, `robustness`, `discovery`. Other verbs: `compose` (with `factorial`), `law`.
The paper's tables are `experiments.published`.
"""

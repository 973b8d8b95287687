"""CounterAnimal (Wang et al., arXiv 2403.11497): real models on real photos.

Photos: `dataset`, `folders`, `labels`. Models: `models`, `weights`, `identity` (what a feature depends on). Features
and answers: `encoding`, `cache`, `scoring`. Numbers: `predictions`, `metrics`, `summaries`, `paired`, `comparison`,
`plot`, `backgrounds`. Requests of a verb: `evaluation`, `discovery`, `compose` (of what `factorial` plans), and
`summaries` for answers made elsewhere. Importing the package imports none of them; `encoding` and what rests on it
import torch. The paper's tables are `experiments.published`.
"""

"""The world and the learners: what can be sampled and trained.

Import the module that holds the idea: `simulator.world`, `simulator.gaussian.pairs` ...
The package itself imports nothing, so that `import theory` costs no torch.
"""

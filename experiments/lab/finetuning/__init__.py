"""Fine-tuning a pretrained CLIP on a pixel world: a grid of hyperparameters, chosen by validation in distribution."""

"""Pretrained models fine-tuned on pixel worlds: a grid of hyperparameters, chosen by validation in distribution."""

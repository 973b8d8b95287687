"""Vision language models, which score each label by the language model's loss."""

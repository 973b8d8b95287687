"""Vision language models: labels scored by the language model's loss on them."""

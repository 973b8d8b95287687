"""Vision language models: labels scored by the language model's loss, or answers in its own words."""

"""Two towers and their training by gradient descent, an ensemble of models at a time."""

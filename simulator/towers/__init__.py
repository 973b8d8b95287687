"""Two towers and their training by gradient descent, one ensemble of models at a time."""

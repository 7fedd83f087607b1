"""How weights change: optimizers, learning rates, the average of the weights."""

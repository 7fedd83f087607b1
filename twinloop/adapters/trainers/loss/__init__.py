"""What a step minimises: noise and targets, the size of an error, the terms of the loss."""

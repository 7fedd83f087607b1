"""Early rejection inside of a pipeline: a look at pictures on their way, and no more work for those that fail it."""

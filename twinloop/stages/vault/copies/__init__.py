"""Which photos show the same thing, and which of them is kept."""

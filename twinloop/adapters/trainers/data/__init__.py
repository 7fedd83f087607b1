"""What a step sees: which pictures are drawn, their cached latents and embedded captions, where an error counts."""

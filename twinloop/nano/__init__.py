"""The embedded world: a renderer of fictional people, a tiny base model and tiny detectors."""

"""The nouns: frozen dataclasses and pure functions on stdlib and numpy."""

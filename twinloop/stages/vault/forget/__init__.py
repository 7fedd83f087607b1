"""Forgetting: what was derived of a person, or of everybody, goes for good."""

"""Embedders: a face becomes an identity vector."""

"""Generators: shots -> images."""

"""Detectors that run on model files which users bring, and the embedded ones."""

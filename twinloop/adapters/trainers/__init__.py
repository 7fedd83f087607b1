"""Trainers: datasets -> LoRA files."""

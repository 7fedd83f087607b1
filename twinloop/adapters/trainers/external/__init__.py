"""Trainers that are other programs on this machine: their configuration written, run, watched,
their LoRA taken home.
"""

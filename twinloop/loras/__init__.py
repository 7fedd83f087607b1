"""LoRA files: their dialects, the names of layers in each, and arithmetic on low-rank pairs.

NumPy only; nothing is unpickled.
"""

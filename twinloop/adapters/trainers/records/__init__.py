"""What a training writes beside its weights: the record of its start, checkpoints, metrics, the header of the LoRA
file.
"""

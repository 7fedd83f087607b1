"""What a training writes: the record of its start, checkpoints, metrics, the LoRA file with its header."""

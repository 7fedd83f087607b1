"""Bootstrap Loop: from a messy folder of photos to a character LoRA that gets better in measured rounds."""

__version__ = "0.1.0"

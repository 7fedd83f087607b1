"""Model files: what lies in a models folder, what a file really is, and how LoRAs are written."""

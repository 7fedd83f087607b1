"""LoRAs and LoKrs on a pipeline: read, checked against its layers, worn, exchanged and written."""

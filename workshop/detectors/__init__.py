"""How the nano detectors were made: three small networks trained on renders and on the base model's own pictures."""

"""How many photos of a person are enough."""

TOO_FEW, SOME, MANY = 10, 20, 50
"""Photos: under the first a LoRA learns the photos by heart; from the second on it can be judged; the third is what the
loop is made for."""

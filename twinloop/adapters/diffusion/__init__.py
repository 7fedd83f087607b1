"""What generating and training share: the base model, its LoRA slot, prompts, pixels <-> latents, files."""

"""How the tiny base model was made: render, vae, latents, unet, export. See README.md."""

"""How the tiny base model was made: render, vae, latents, unet, export. See README.md."""

import twinloop.adapters  # noqa: F401 - before PyTorch and diffusers: their import notes are left out

"""The configuration of the user's own description, as written there."""

from __future__ import annotations

from typing import Any

SEED: dict[str, Any] = {
    "person_name": "alice",
    "person_trigger": "ohwx alice",
    "base_model": "stabilityai/stable-diffusion-xl-base-1.0",
    "dataset_dir": "outputs/facevault/organized/alice",
    "models_dir": "models",
    "output_dir": "outputs/bootstrap",
    "lora_output_dir": "outputs/lora_models/alice",
    "max_iterations": 5,
    "convergence_threshold": 0.05,
    "generation": {"num_per_gap": 5, "num_inference_steps": 30, "guidance_scale": 7.5},
    "validation": {"auto_filter": True},
    "training": {"preset": "sdxl", "epochs": 10},
}

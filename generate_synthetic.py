#!/usr/bin/env python3
"""Make images that fill the gaps.

    python generate_synthetic.py gaps.json --base-model stabilityai/stable-diffusion-xl-base-1.0 \
        --lora lora.safetensors --person "ohwx person" --output outputs/synthetic/person

The same as ``twinloop generate``; all flags: python generate_synthetic.py --help
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("generate_synthetic.py"))

#!/usr/bin/env python3
"""Say whether model files are safe to load, without loading them, and convert safe ones to safetensors.

    python inspect_pkl.py models/*.pkl --convert

The same as ``twinloop inspect``; all flags: python inspect_pkl.py --help
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("inspect_pkl.py"))

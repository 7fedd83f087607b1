#!/usr/bin/env python3
"""The menu: choose a workflow, answer what it needs to know, watch it run.

    python beaver.py

Workflow 1, the LoRA Training Pipeline, is scan -> cluster -> dedup -> label -> caption -> prep -> train. Each step is a
command that the menu prints before it runs it; ``twinloop menu`` is the same.
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("beaver.py"))

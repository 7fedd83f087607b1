#!/usr/bin/env python3
r"""Make an expression set, reference and drafts for a Live2D rig.

    python export_expressions.py --dataset outputs/facevault/organized/alice \
        --expressions neutral,smile,surprised,angry --output alice_live2d/

The same as ``twinloop export expressions``; all flags: python export_expressions.py --help
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("export_expressions.py"))

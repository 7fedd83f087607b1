#!/usr/bin/env python3
r"""Make a face sheet, reference art for MetaHuman artists.

    python export_facesheet.py --dataset outputs/facevault/organized/alice \
        --angles front,profile_left,profile_right,three_quarter --output alice_metahuman.jpg

The same as ``twinloop export facesheet``; all flags: python export_facesheet.py --help
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("export_facesheet.py"))

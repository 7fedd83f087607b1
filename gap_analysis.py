#!/usr/bin/env python3
"""Find what a dataset lacks.

    python gap_analysis.py outputs/facevault/organized/person --models-dir models --output gaps.json

The same as ``twinloop analyze``; all flags: python gap_analysis.py --help
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("gap_analysis.py"))

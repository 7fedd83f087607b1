#!/usr/bin/env python3
"""Judge generated images and sort them.

    python validate_synthetic.py outputs/synthetic/person --models-dir models \
        --approved outputs/curated/person --rejected outputs/rejected/person

The same as ``twinloop validate``; all flags: python validate_synthetic.py --help
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("validate_synthetic.py"))

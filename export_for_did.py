#!/usr/bin/env python3
"""Make the package for D-ID talking avatars.

    python export_for_did.py --dataset outputs/facevault/organized/alice --output alice_did_package/

The same as ``twinloop export did``; all flags: python export_for_did.py --help
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("export_for_did.py"))

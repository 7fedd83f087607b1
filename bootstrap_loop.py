#!/usr/bin/env python3
"""Run the whole loop of a configuration, or go on with one that was stopped.

    python bootstrap_loop.py --config bootstrap_config.json

The same as ``twinloop run``; all flags: python bootstrap_loop.py --help
"""

from twinloop.cli.app import script

if __name__ == "__main__":
    raise SystemExit(script("bootstrap_loop.py"))

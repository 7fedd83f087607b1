"""``python -m twinloop``: the command without an entry on the PATH."""

from twinloop.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())

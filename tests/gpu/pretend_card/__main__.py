"""``python -m tests.gpu.pretend_card``: compile the card."""

import sys

from tests.gpu.pretend_card.build import built

if __name__ == "__main__":
    sys.stdout.write(f"{built()}\n")

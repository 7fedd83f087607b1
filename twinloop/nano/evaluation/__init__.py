"""Parts of ``twinloop nano evaluate``."""

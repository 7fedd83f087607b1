"""Base models with quantised weights: the linear layers inside of blocks hold 4 or 8 bits per weight, everything else
stays as it is.
"""

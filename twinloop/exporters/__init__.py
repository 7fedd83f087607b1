"""Packages of pictures that other programs take.

Stills only: each package says what its target can and cannot do with them.
"""

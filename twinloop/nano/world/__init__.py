"""Fictional adult people as lit, stylised 3-D heads, with exact ground truth.

``params`` says who and in which situation, ``render`` draws it, ``photos`` makes a messy folder of photos.
"""

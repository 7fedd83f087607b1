"""What is trained: the adapter on the base model, the file that it begins from, the adapter that a distilled base
wears.
"""

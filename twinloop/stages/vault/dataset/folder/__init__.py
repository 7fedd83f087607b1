"""The folder of a training set on the disk: whose it is, which of its files were written here,
and how it is laid out.
"""

"""The local web page: people, dataset, review, runs.

It shows what lies in the folders and starts the same commands as a terminal.
"""

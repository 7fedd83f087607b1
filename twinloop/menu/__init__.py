"""The menu: it asks what a command needs to know, prints that command, and runs it. It decides nothing itself."""

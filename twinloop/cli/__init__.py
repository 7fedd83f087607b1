"""The command line: arguments, printing, exit codes. Nothing heavy is imported before the arguments are read."""

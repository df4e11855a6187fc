"""The command line: a command is the straight line, cut short."""

"""The command line: parse the flags of a command, call it, print its result."""

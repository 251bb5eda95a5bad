"""The settings of each command, apart from it: reading a command line loads nothing else."""

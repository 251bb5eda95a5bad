"""One module is one subcommand: its settings and its function."""

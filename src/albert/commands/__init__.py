"""The subcommands of `albert`: one file each, its settings and its function."""

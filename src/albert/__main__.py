"""`python -m albert`: the same as the command `albert`."""

from albert.cli.main import main

if __name__ == "__main__":
    main()

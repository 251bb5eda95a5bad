"""The jobs of `albert bench`."""

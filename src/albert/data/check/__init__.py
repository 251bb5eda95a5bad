"""What `albert prepare --check` and a forecast tell about a corpus before it is prepared."""

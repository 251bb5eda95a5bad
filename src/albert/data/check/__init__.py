"""What can be known of a corpus before it is prepared: `albert prepare --check`, and a forecast."""

"""What `albert bench` measures: a module for each kind of work, and how contenders are timed side by side."""

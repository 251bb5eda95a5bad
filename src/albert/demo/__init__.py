"""What `albert demo` needs: its text and its stages."""

"""From weights of any form to model folders, and their model cards."""

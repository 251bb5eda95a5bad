"""`python -m albert.create_pretraining_data`: the original's command line (docs/from-the-original.md)."""

from albert.legacy.scripts import script_main
from albert.process import run_and_leave

main = script_main("create_pretraining_data")

if __name__ == "__main__":
    run_and_leave(main)

"""`python -m albert.run_classifier_sp_google`: albert_zh's command line (docs/from-the-original.md)."""

from albert.legacy.scripts import script_main
from albert.process import run_and_leave

main = script_main("run_classifier_sp_google")

if __name__ == "__main__":
    run_and_leave(main)

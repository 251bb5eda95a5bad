"""`python -m albert.run_pretraining`: the original's command line, or albert_zh's of the same name.

They are told apart by albert_zh's flag --bert_config_file (docs/from-the-original.md).
"""

from albert.legacy.scripts import script_main
from albert.process import run_and_leave


def main(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    is_albert_zh = any(argument.lstrip("-").startswith("bert_config_file") for argument in arguments)
    return script_main("run_pretraining_zh" if is_albert_zh else "run_pretraining")(arguments)


if __name__ == "__main__":
    run_and_leave(main)

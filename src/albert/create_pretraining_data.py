"""`python -m albert.create_pretraining_data`: the original's command line, or albert_zh's of the same name.

albert_zh's is recognised by --non_chinese; or by --do_whole_word_mask, which is on by default in the
original, without any of the flags that only the original has (docs/from-the-original.md).
"""

from albert.legacy.scripts import script_main
from albert.process import run_and_leave

_ONLY_ORIGINAL = {
    "do_permutation", "favor_shorter_ngram", "input_file_mode", "ngram", "random_next_sentence",
    "spm_model_file",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    names = {argument.lstrip("-").split("=")[0] for argument in arguments if argument.startswith("-")}
    names |= {name.removeprefix("no") for name in names if name.startswith("nodo_")}
    is_albert_zh = bool(names & {"non_chinese", "nonon_chinese"}) or (
        "do_whole_word_mask" in names and not names & _ONLY_ORIGINAL
    )
    return script_main("create_pretraining_data_zh" if is_albert_zh else "create_pretraining_data")(arguments)


if __name__ == "__main__":
    run_and_leave(main)

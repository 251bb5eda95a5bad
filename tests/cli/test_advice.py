"""Advice in messages can be followed: the flags that it names exist, for the command that it names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import albert
from albert.cli.main import SUMMARIES
from samples.command_flags import flags_of

PACKAGE = Path(albert.__file__).parent
EVERYWHERE = {"from", "help", "json", "version"}
"""Flags of every command, or of `albert` itself."""
OF_OTHERS = {"short", "show-toplevel", "project"}
"""Flags of git and trackio."""
_FLAG = re.compile(r"(?<![\w-])--(?:no-)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")
_CALL = re.compile(
    r"albert ([a-z]+(?:-[a-z]+)?)((?: (?:--[a-z-]+|[A-Z][A-Z_./]*|\{\}|\.\.\.|[a-z0-9]+(?=[ /])\S*))+)"
)
"""A command with what follows it: flags, values in capitals, and words that a flag may take."""
_COMMAND = re.compile(r"albert ([a-z]+(?:-[a-z]+)?)")
FLAGS = {name: {flag.name for flag in flags_of(name).values() if not flag.placeholder} for name in SUMMARIES}
FLAGS["pretrain"].add("recipe")  # Read before the others, like --from.
ALL = set().union(*FLAGS.values()) | EVERYWHERE


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are not docstrings, f-strings with {} for their values."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in expressions | inner:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not {"legacy", "benchmarks"} & set(path.relative_to(PACKAGE).parts)
    # The first has flags that were renamed, the second a pattern of a command line.
    and path.relative_to(PACKAGE).as_posix() not in {"renamed.py", "cli/main.py"}
]


def test_flags_and_commands_in_messages_exist() -> None:
    wrong, count = [], 0
    for path in MODULES:
        own = path.stem.replace("_", "-") if path.parent.name == "commands" else None
        for line, text in messages(path):
            flags = set(_FLAG.findall(text)) - EVERYWHERE - OF_OTHERS
            count += len(flags)
            named = [name for name in _COMMAND.findall(text) if name in FLAGS]
            allowed = set().union(*(FLAGS[name] for name in named))
            if own in FLAGS:
                allowed |= FLAGS[own]
            elif not named:
                allowed = ALL
            # A message with a command may also name flags of the command that writes it.
            unknown = flags - allowed - (ALL if named and own is None else set())
            wrong += [f"{path.relative_to(PACKAGE)}:{line}: --{flag}" for flag in sorted(unknown)]
    assert count > 100
    assert wrong == []


def test_calls_in_messages_have_only_flags_of_their_command() -> None:
    calls = [
        (f"{path.relative_to(PACKAGE)}:{line}", name, set(_FLAG.findall(rest)) - EVERYWHERE)
        for path in MODULES
        for line, text in messages(path)
        for name, rest in _CALL.findall(text)
        if name in FLAGS
    ]
    assert sum(bool(flags) for _, _, flags in calls) > 10
    assert [f"{place}: {name} {flags}" for place, name, flags in calls if not flags <= FLAGS[name]] == []


def test_the_check_of_calls_finds_a_flag_of_another_command() -> None:
    assert _CALL.findall("first: albert convert MODEL --output FOLDER") == [
        ("convert", " MODEL --output FOLDER")
    ]
    assert "output" not in FLAGS["convert"]


def test_the_check_finds_a_flag_that_no_command_has(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""Doc --nothing."""\nx = f"{1}: try --nothing-such"\ny = "--input"\n')
    texts = dict(messages(tmp_path / "a.py"))
    assert texts == {2: "{}: try --nothing-such", 3: "--input"}
    assert set(_FLAG.findall(texts[2])) - ALL == {"nothing-such"}

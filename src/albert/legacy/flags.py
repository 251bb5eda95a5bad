"""Flags as the original's scripts have them: tables, and their parsing by absl as the original parsed them.

Every run has flag values of its own, so that a process may run scripts one after the other.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from absl import flags as absl_flags
from absl.flags import FlagValues

from albert.console import say
from albert.errors import UsageError, did_you_mean

Kind = Literal["string", "bool", "integer", "float", "enum"]

_EXPECTED = {"bool": "true or false", "integer": "a whole number", "float": "a number"}
_HELP = {"-h", "--help", "-help", "--helpfull", "--helpshort", "-?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag of a script."""

    name: str
    """As it is written behind the dashes."""
    kind: Kind
    """What values it takes."""
    default: str | bool | int | float | None
    """Its value where it is not given."""
    help: str
    """What it means."""
    required: bool = False
    """Whether it must be given."""
    choices: tuple[str, ...] = ()
    """All values of an enum."""
    effect: bool = True
    """Whether it does anything here."""


def string(name: str, default: str | None, help: str, *, required: bool = False) -> Flag:
    """Returns a flag that takes text."""
    return Flag(name=name, kind="string", default=default, help=help, required=required)


def boolean(name: str, default: bool, help: str, *, effect: bool = True) -> Flag:
    """Returns a flag that is `--NAME` or `--noNAME`, or `--NAME=true`; never two words."""
    return Flag(name=name, kind="bool", default=default, help=help, effect=effect)


def integer(name: str, default: int, help: str, *, effect: bool = True) -> Flag:
    """Returns a flag that takes a whole number."""
    return Flag(name=name, kind="integer", default=default, help=help, effect=effect)


def real(name: str, default: float, help: str) -> Flag:
    """Returns a flag that takes a number."""
    return Flag(name=name, kind="float", default=default, help=help)


def ignored(name: str, help: str) -> Flag:
    """Returns a flag that takes text and does nothing here."""
    return Flag(name=name, kind="string", default=None, help=help, effect=False)


TPU = (
    boolean("use_tpu", False, "Whether to run on a TPU.", effect=False),
    ignored("tpu_name", "Name of the TPU."),
    ignored("tpu_zone", "Zone of the TPU."),
    ignored("gcp_project", "Project of the TPU."),
    ignored("master", "Address of a TensorFlow master."),
    integer("num_tpu_cores", 8, "Cores of the TPU.", effect=False),
    integer("iterations_per_loop", 1000, "Steps between two looks at the TPU.", effect=False),
)
"""Flags that every training script has."""

_LOGGING = (
    boolean("alsologtostderr", False, "Where absl logs to.", effect=False),
    boolean("logtostderr", False, "Where absl logs to.", effect=False),
    ignored("log_dir", "Where absl logs to."),
    ignored("stderrthreshold", "How much absl logs."),
    ignored("verbosity", "How much absl logs."),
    ignored("v", "How much absl logs."),
)
"""Flags that absl gives every program; accepted, not counted among a script's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script of the original, as its command line shows it."""

    name: str
    """Module below `albert`."""
    does: str
    """What it does, a line."""
    flags: tuple[Flag, ...]
    """All its flags."""
    our_names: Mapping[str, str] = field(default_factory=dict)
    """Flags of ours in messages, and the script's that mean them, where more than the dashes differ."""

    def reword(self, message: str) -> str:
        """Returns a message with the flags of ours that it names replaced by the script's."""
        names = {flag.name for flag in self.flags}

        def original(found: re.Match[str]) -> str:
            ours = found[1]
            name = self.our_names.get(ours, ours.replace("-", "_"))
            return f"--{name}" if name in names else found[0]

        return re.sub(r"(?<![\w-])--([a-z][a-z0-9-]*)(?![\w-])", original, message)


def parse(script: Script, arguments: Sequence[str]) -> FlagValues:
    """Returns the values of a script's flags; says which of those that are given do nothing here.

    Raises:
        UsageError: A flag is unknown, lacks its value or has one that is none, or a required one is missing.
    """
    values = FlagValues()  # type: ignore[no-untyped-call]  # absl leaves it untyped
    for flag in (*script.flags, *_LOGGING):
        _define(flag, values)
    try:
        _, *words = values([script.name, *arguments])
    except absl_flags.UnrecognizedFlagError as error:
        known = [flag.name for flag in script.flags]
        near = did_you_mean(error.flagname, known).replace("'", "--", 1).replace("'", "")
        raise UsageError(
            f"no flag --{error.flagname}{near}; see python -m albert.{script.name} --help"
        ) from error
    except absl_flags.Error as error:
        raise UsageError(_told(str(error), script)) from error
    if words:
        raise UsageError(
            f"{words[0]!r} belongs to no flag; a flag that is true or false takes its value as in "
            "--do_train=false"
        )
    missing = [
        f"--{flag.name}"
        for flag in script.flags
        if flag.required and getattr(values, flag.name) in (None, "")
    ]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given; see python -m albert.{script.name} --help")
    idle = [f"--{flag.name}" for flag in script.flags if not flag.effect and values[flag.name].present]
    if idle:
        say(f"without effect here: {', '.join(idle)}")
    return values


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Tells whether a command line asks what the flags are."""
    return any(argument in _HELP for argument in arguments)


def explain(script: Script) -> str:
    """Returns the help of a script."""
    lines = [f"usage: python -m albert.{script.name} --flag=VALUE ...", "", script.does, ""]
    for flag in script.flags:
        name = f"--[no]{flag.name}" if flag.kind == "bool" else f"--{flag.name}"
        notes = ["required"] if flag.required else []
        notes += [f"one of {', '.join(flag.choices)}"] if flag.choices else []
        notes += [] if flag.default is None else [f"default {str(flag.default).lower()}"]
        notes += [] if flag.effect else ["without effect"]
        lines += [f"  {name}: {flag.help}" + (f" ({'; '.join(notes)})" if notes else "")]
    lines += ["", "docs/from-the-original.md tells what differs from the original."]
    return "\n".join(lines)


def _define(flag: Flag, values: FlagValues) -> None:
    if flag.kind == "enum":
        absl_flags.DEFINE_enum(
            flag.name, str(flag.default), list(flag.choices), flag.help, flag_values=values
        )
        return
    defines: dict[Kind, Callable[..., object]] = {
        "string": absl_flags.DEFINE_string,
        "bool": absl_flags.DEFINE_bool,
        "integer": absl_flags.DEFINE_integer,
        "float": absl_flags.DEFINE_float,
    }
    define = defines[flag.kind]
    define(flag.name, flag.default, flag.help, flag_values=values)


def _told(message: str, script: Script) -> str:
    """Returns absl's message of a wrong value in our form."""
    found = re.match(r"flag --(\w+)=(.*?): ", message, flags=re.DOTALL)
    flags = {flag.name: flag for flag in script.flags}
    if found and found[1] in flags:
        flag = flags[found[1]]
        expected = _EXPECTED.get(flag.kind) or f"one of {', '.join(flag.choices)}"
        return f"--{found[1]} is {found[2]!r}; expected {expected}"
    if found := re.match(r"Missing value for flag (--\w+)", message):
        return f"{found[1]} has no value; give one, as in {found[1]}=VALUE"
    return " ".join(message.split())

"""The flags of the original's scripts: tables of them, parsed by absl as in the original.

Every run has its own flag values, so that one process can run several scripts in turn.
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
    """Its name, without the dashes."""
    kind: Kind
    """The type of its values."""
    default: str | bool | int | float | None
    """Its value if it is not given."""
    help: str
    """Its explanation."""
    required: bool = False
    """Whether it must be given."""
    choices: tuple[str, ...] = ()
    """The values of an enum."""
    effect: bool = True
    """Whether it has an effect in this package."""


def string(name: str, default: str | None, help: str, *, required: bool = False) -> Flag:
    """Return a flag that takes text."""
    return Flag(name=name, kind="string", default=default, help=help, required=required)


def boolean(name: str, default: bool, help: str, *, effect: bool = True) -> Flag:
    """Return a flag written `--NAME`, `--noNAME` or `--NAME=true`, never as two words."""
    return Flag(name=name, kind="bool", default=default, help=help, effect=effect)


def integer(name: str, default: int, help: str, *, effect: bool = True) -> Flag:
    """Return a flag that takes a whole number."""
    return Flag(name=name, kind="integer", default=default, help=help, effect=effect)


def real(name: str, default: float, help: str) -> Flag:
    """Return a flag that takes a number."""
    return Flag(name=name, kind="float", default=default, help=help)


def ignored(name: str, help: str) -> Flag:
    """Return a flag that takes text and has no effect in this package."""
    return Flag(name=name, kind="string", default=None, help=help, effect=False)


TPU = (
    boolean("use_tpu", False, "Whether to run on a TPU.", effect=False),
    ignored("tpu_name", "Name of the TPU."),
    ignored("tpu_zone", "Zone of the TPU."),
    ignored("gcp_project", "Project of the TPU."),
    ignored("master", "Address of a TensorFlow master."),
    integer("num_tpu_cores", 8, "Cores of the TPU.", effect=False),
    integer("iterations_per_loop", 1000, "Steps that the TPU runs in one call.", effect=False),
)
"""The flags that every training script has."""

_LOGGING = (
    boolean("alsologtostderr", False, "Destination of absl's log.", effect=False),
    boolean("logtostderr", False, "Destination of absl's log.", effect=False),
    ignored("log_dir", "Destination of absl's log."),
    ignored("stderrthreshold", "Verbosity of absl's log."),
    ignored("verbosity", "Verbosity of absl's log."),
    ignored("v", "Verbosity of absl's log."),
)
"""Flags that absl adds to every program; accepted, but not counted as the script's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The command line of one of the original's scripts."""

    name: str
    """Name of its module in `albert`."""
    summary: str
    """One line on what it does."""
    flags: tuple[Flag, ...]
    """All its flags."""
    called: str = ""
    """Name of the module where it is called, if that is another."""
    job: str = ""
    """Name of the function and module that do it, if that is another."""
    our_names: Mapping[str, str] = field(default_factory=dict)
    """The script's flag for each of our flags in messages, where more than the dashes differ."""

    @property
    def usage(self) -> str:
        """How it is called."""
        return f"python -m albert.{self.called or self.name}"

    def reword(self, message: str) -> str:
        """Return a message with our flags replaced by the script's."""
        names = {flag.name for flag in self.flags}

        def original(found: re.Match[str]) -> str:
            ours = found[1]
            name = self.our_names.get(ours, ours.replace("-", "_"))
            return f"--{name}" if name in names else found[0]

        return re.sub(r"(?<![\w-])--([a-z][a-z0-9-]*)(?![\w-])", original, message)


def parse(script: Script, arguments: Sequence[str]) -> FlagValues:
    """Return the values of a script's flags; report those given that have no effect in this package.

    Raises:
        UsageError: A flag is unknown, lacks its value or has a wrong one, or a required flag is missing.
    """
    values = FlagValues()  # type: ignore[no-untyped-call]  # absl leaves it untyped
    for flag in (*script.flags, *_LOGGING):
        _define(flag, values)
    try:
        _, *words = values([script.name, *arguments])
    except absl_flags.UnrecognizedFlagError as error:
        known = [flag.name for flag in script.flags]
        near = did_you_mean(error.flagname, known).replace("'", "--", 1).replace("'", "")
        raise UsageError(f"no flag --{error.flagname}{near}; see {script.usage} --help") from error
    except absl_flags.Error as error:
        raise UsageError(_message_of(str(error), script)) from error
    if words:
        raise UsageError(
            f"{words[0]!r} belongs to no flag; write the value of a true-or-false flag with an equals sign: "
            "--do_train=false"
        )
    missing = [
        f"--{flag.name}"
        for flag in script.flags
        if flag.required and getattr(values, flag.name) in (None, "")
    ]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given; see {script.usage} --help")
    ignored_flags = [
        f"--{flag.name}" for flag in script.flags if not flag.effect and values[flag.name].present
    ]
    if ignored_flags:
        say(f"without effect here: {', '.join(ignored_flags)}")
    return values


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line requests the help."""
    return any(argument in _HELP for argument in arguments)


def explain(script: Script) -> str:
    """Return the help of a script."""
    lines = [f"usage: {script.usage} --flag=VALUE ...", "", script.summary, ""]
    for flag in script.flags:
        name = f"--[no]{flag.name}" if flag.kind == "bool" else f"--{flag.name}"
        notes = ["required"] if flag.required else []
        notes += [f"one of {', '.join(flag.choices)}"] if flag.choices else []
        notes += [] if flag.default is None else [f"default {str(flag.default).lower()}"]
        notes += [] if flag.effect else ["without effect"]
        lines += [f"  {name}: {flag.help}" + (f" ({'; '.join(notes)})" if notes else "")]
    lines += ["", "docs/from-the-original.md lists the differences from the original."]
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


def _message_of(message: str, script: Script) -> str:
    """Return absl's message about a wrong value in our form."""
    found = re.match(r"flag --(\w+)=(.*?): ", message, flags=re.DOTALL)
    flags = {flag.name: flag for flag in script.flags}
    if found and found[1] in flags:
        flag = flags[found[1]]
        expected = _EXPECTED.get(flag.kind) or f"one of {', '.join(flag.choices)}"
        return f"--{found[1]} is {found[2]!r}; expected {expected}"
    if found := re.match(r"Missing value for flag (--\w+)", message):
        return f"{found[1]} has no value; give one, as in {found[1]}=VALUE"
    return " ".join(message.split())

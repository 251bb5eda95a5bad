"""Settings with some values replaced by name, however they are nested: what recipes need."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from albert.errors import ConfigError, did_you_mean

S = TypeVar("S")


def with_values(settings: S, values: Mapping[str, Any]) -> S:
    """Return `settings`, a dataclass, with some values replaced, however they are nested.

    Raises:
        ConfigError: There is no setting of this name.
    """
    left, known = dict(values), list[str]()
    changes: dict[str, Any] = {}
    for field in fields(settings):  # type: ignore[arg-type]  # is a dataclass
        value = getattr(settings, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            names = [inner.name for inner in fields(value)]
            changes[field.name] = replace(value, **{name: left.pop(name) for name in names if name in left})
            known += names
        else:
            changes[field.name] = left.pop(field.name, value)
            known.append(field.name)
    for name in left:
        raise ConfigError(f"no setting {name!r}{did_you_mean(name, known)}")
    changed: S = replace(settings, **changes)  # type: ignore[type-var]  # is a dataclass
    return changed

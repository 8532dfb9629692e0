"""Engine values as JSON: the shapes that the API gives and the command line reads."""

from __future__ import annotations

import enum
from typing import Any

import attrs


def to_json(value: object) -> Any:
    """Frozen attrs values, enums, tuples and dicts as what `json.dumps` takes."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    fields = getattr(type(value), "__attrs_attrs__", None)
    if fields is not None:
        return {field.name: to_json(getattr(value, field.name)) for field in fields}
    return value


@attrs.frozen
class Problem:
    """What an error answer says: a word for programs, a sentence for people, details if any."""

    kind: str
    message: str
    details: tuple[str, ...] = ()

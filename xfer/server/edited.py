"""What editing a zone tells: values and errors that the control API hands out.

As in `xfer.server.status`: frozen, made of text and numbers; times are Unix seconds.
"""

from __future__ import annotations

import attrs

from xfer.server.status import Refused


class Conflict(Refused):
    """The zone has changed since the version that the change was made for (HTTP 409)."""


class TooLarge(Refused):
    """The zone has more records than an editor is opened for (HTTP 409)."""


@attrs.frozen
class EditText:
    """A zone to be edited. version: journal id of what `text`, a zone file, holds."""

    zone: str
    version: int
    serial: int
    text: str


@attrs.frozen
class Edited:
    """What an import or an edit changes, or has changed.

    changed: whether there is anything to publish; published: whether it was; version: journal id of
    what is served now, None for nothing; removed, added: records, the SOA among them; diff: the
    first of them as lines (`xfer.zone.difftext`); more: how many it leaves out; note: what happened
    to the serial, "" for nothing; findings: warnings of the checks; comments: records whose comment
    changes, also where nothing else does.
    """

    zone: str
    changed: bool
    published: bool
    version: int | None
    serial_from: int | None
    serial_to: int
    records: int
    removed: int
    added: int
    diff: str = ""
    more: int = 0
    note: str = ""
    findings: tuple[str, ...] = ()
    comments: int = 0


@attrs.frozen
class RemovedZone:
    """A zone that left the config and is still kept, or of which private keys are.

    until: when its versions are deleted; removed_at, until, serial: None where only keys are left;
    keys: private ones in key_directory, which is "" where there are none.
    """

    zone: str
    removed_at: float | None
    until: float | None
    serial: int | None
    versions: int
    keys: int = 0
    key_directory: str = ""

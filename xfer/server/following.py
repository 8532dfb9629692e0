"""Content that is to follow a served version: its serial, and what it changes.

What comes from a zone file or an editor has a serial of its own, which secondaries need not follow:
it is kept where it is newer than the served one (RFC 1982), else the zone's policy gives one.
"""

from __future__ import annotations

import attrs

from xfer.config_keys import SerialPolicy
from xfer.errors import ZoneError
from xfer.server.serials import bound_to_serial, next_serial, with_serial
from xfer.wire.serial import newer
from xfer.zone.changeset import Changeset, diff
from xfer.zone.snapshot import Snapshot

_SERIAL = slice(-20, -16)  # where it stands in an SOA record and in its rdata


@attrs.frozen
class Following:
    """snapshot: the content as it may be published; changes: against the served version, None where
    there is none; only_serial: nothing but the serial differs; note: what happened to the serial.
    """

    snapshot: Snapshot
    changes: Changeset | None
    only_serial: bool
    note: str = ""

    @property
    def changed(self) -> bool:
        """Whether there is anything to publish: a serial of ours alone is nothing."""
        if self.changes is None:
            return True
        return not (self.changes.empty or (self.only_serial and self.note))


def follow(
    snapshot: Snapshot,
    served: Snapshot | None,
    policy: SerialPolicy,
    now: float,
    last: int | None = None,
) -> Following:
    """The content under a serial that those who have `served` follow; now: Unix seconds.

    last: the newest serial that was ever given out, None for that of `served`.

    Raises ZoneError where it needs another serial, and something in it holds for its own alone.
    For worker threads: takes as long as comparing the two versions does.
    """
    if served is None:
        return Following(snapshot, None, False)
    own = snapshot.serial
    if last is None:
        last = served.serial
    if newer(own, last):
        changes = diff(served, snapshot)
        return Following(snapshot, changes, _only_serial(changes))
    serial = next_serial(policy, last, now)
    numbered = with_serial(snapshot, serial)
    changes = diff(served, numbered)
    note = f"serial {serial}, because its own, {own}, is not newer than {last}"
    found = Following(numbered, changes, _only_serial(changes), note)
    bound = bound_to_serial(snapshot)
    if found.changed and bound:
        raise ZoneError(
            f"expected a serial newer than {last}, got {own}, and its {bound} forbids us "
            "to give it another: sign it again under a newer serial"
        )
    return found


def _only_serial(changes: Changeset) -> bool:
    removed, added = changes.removed, changes.added
    if len(removed) != 1 or len(added) != 1 or removed[0] != changes.old_soa:
        return False
    old, new = removed[0], added[0]
    if _without_serial(old) != _without_serial(new):
        return False
    before, after = changes.spelling_removed.get(old), changes.spelling_added.get(new)
    if before is None or after is None:
        return before is after
    return before[0] == after[0] and _without_serial(before[1]) == _without_serial(after[1])


def _without_serial(data: bytes) -> bytes:
    return data[: _SERIAL.start] + data[_SERIAL.stop :]

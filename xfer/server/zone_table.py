"""The zones that are configured, by name; of the event loop, like the zones themselves."""

from __future__ import annotations

from xfer.server.zones import Zone
from xfer.wire.records import DS


class ZoneTable:
    """All zones by origin, and the search for the one that holds a name."""

    def __init__(self) -> None:
        self.zones: dict[bytes, Zone] = {}

    def find(self, name: bytes) -> Zone | None:
        """The zone of the closest enclosing apex; name: lower-case wire name."""
        zones = self.zones
        at = 0
        while True:
            zone = zones.get(name[at:] if at else name)
            if zone is not None:
                return zone
            if name[at] == 0:
                return None
            at += name[at] + 1

    def holding(self, name: bytes, rtype: int) -> Zone | None:
        """The zone that a question is about: that of `find`, but for DS at an apex the parent's,
        where that is here as well (RFC 4035 §3.1.4.1)."""
        zone = self.find(name)
        if rtype == DS and zone is not None and len(zone.origin) == len(name) and name[0]:
            return self.find(name[name[0] + 1 :]) or zone
        return zone

    def exact(self, name: bytes) -> Zone | None:
        """The zone with that apex."""
        return self.zones.get(name)

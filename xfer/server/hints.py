"""What NOTIFYs have hinted at, and whether it is worth a check (RFC 1996 §3.7, §4.3).

A NOTIFY is a hint: it is never believed, only followed up. Of hints that come while a check runs,
one is remembered: the newest serial, and who told it last.
"""

from __future__ import annotations

import attrs

from xfer.wire.serial import newer

SAME_HINT_PAUSE = 1.0  # seconds between two checks that one and the same hint may cause


@attrs.frozen
class Hint:
    """A NOTIFY from `source`, the sender's address; serial: of the SOA in it, None without one."""

    serial: int | None
    source: str

    def joined(self, later: Hint | None) -> Hint:
        """One hint for both: who told the newest serial; without a serial, a check must be made
        whatever is served by then."""
        if later is None:
            return self
        if later.serial is None or self.serial is None:
            return Hint(None, later.source)
        return self if newer(self.serial, later.serial) else later

    def met(self, served: int | None) -> bool:
        """Whether serving that serial leaves nothing to look for. Serials that RFC 1982 cannot
        order, and hints without one, are never met."""
        if self.serial is None or served is None:
            return False
        return served == self.serial or newer(served, self.serial)

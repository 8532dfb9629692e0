"""Where a running transfer is: one small function, which status reads and tests hook into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from xfer.server.status import Phase

if TYPE_CHECKING:
    from xfer.server.zones import Zone

log = structlog.get_logger()


def enter_phase(zone: Zone, phase: Phase) -> None:
    """Note that the zone's transfer enters `phase`; called before any work of that phase."""
    zone.phase = phase
    log.debug("phase", zone=zone.name, phase=phase.value)

"""What the journal has of a zone's state, in short: enough to tell whether it is worth a write.

A check that brings no news moves nothing but times. Were each written, a hundred thousand zones
would keep the journal busy with nothing else.
"""

from __future__ import annotations

import attrs

MOVED = 1 / 8  # of the time left; by so much less may be left after a crash


@attrs.frozen
class Stored:
    """expire_at: wall time, None for never; failing: a failure is stored, too; lost: how many
    writes of states had failed by then (`GroupCommitter.lost`)."""

    expire_at: float | None
    failing: bool
    lost: int

    def outlasts(self, expire_at: float | None, left: float) -> bool:
        """Whether a restart may go by it, where the zone expires at `expire_at`, in `left` seconds.

        A time that is too early costs some of `left`, and only where no primary answers; one that
        is too late would have a zone served past its expiry, as after a jump of the clock.
        """
        if self.expire_at is None or expire_at is None:
            return self.expire_at is expire_at
        return 0 <= expire_at - self.expire_at <= max(0.0, left) * MOVED

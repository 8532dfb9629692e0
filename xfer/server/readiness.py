"""What answers a version is made ready before the version is served, where that is work.

The hashes of a zone with NSEC3 are found in all of its blocks, once in each; a million records take
a second, an update what its few new blocks take. That is done in the executor in short steps, so
that no query waits for it. All other zones are ready as they are, and nothing is done for them; nor
for those whose proofs are signed as they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xfer.answer.denial import Denial, Kind
from xfer.answer.respond import Responder
from xfer.server.executor import Executor
from xfer.server.zones import Zone
from xfer.zone.snapshot import Snapshot

if TYPE_CHECKING:
    from xfer.dnssec.online import OnlineSigner


async def responder_for(
    zone: Zone, snapshot: Snapshot, executor: Executor, online: OnlineSigner | None = None
) -> Responder | None:
    """What is to answer a version that the zone does not serve yet; None where that is made when
    somebody asks. online: who signs its proofs, where that is done as they are asked for."""
    if online is not None:
        return None
    denial = Denial(snapshot, zone.denial)
    if denial.step():  # one is all that a small zone needs
        await executor.run(_finish, denial)
    return Responder(snapshot, denial) if denial.kind is Kind.NSEC3 else None


def _finish(denial: Denial) -> None:
    while denial.step():
        pass

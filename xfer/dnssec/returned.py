"""Content that was signed here and comes back: an export of what is served, edited and imported.

What signing made of it is taken out, for it is made again. Left in, our DNSKEYs would pass for
those of another signer as soon as they have rolled, and stay for ever (RFC 8901 §3).
"""

from __future__ import annotations

from xfer.dnssec.content import left_out
from xfer.dnssec.ds import DELETE_CDNSKEY, DELETE_CDS, cds_of
from xfer.dnssec.keystate import ZoneKeys
from xfer.wire.records import CDNSKEY, CDS, DNSKEY, key_end, split
from xfer.zone.block import Block
from xfer.zone.snapshot import APEX, Snapshot


def without_ours(snapshot: Snapshot, keys: ZoneKeys | None) -> Snapshot:
    """The content without what our signing adds; the same where no DNSKEY of `keys` is in it, or
    where nothing was signed here yet, as there is no KSK: then others sign it, with ours in it.

    For worker threads: goes over all of the zone.
    """
    if keys is not None and not any(key.role.signs_keys for key in keys.keys):
        return snapshot
    ours = {key.public for key in keys.keys} if keys is not None else set()
    there = {split(record)[4] for record in snapshot.rrset(APEX, DNSKEY)}
    if keys is None or ours.isdisjoint(there):
        return snapshot
    rdata = ours | {cds_of(snapshot.origin, public) for public in ours}
    rdata |= {DELETE_CDS, DELETE_CDNSKEY}
    gone = {
        record
        for rtype in (DNSKEY, CDS, CDNSKEY)
        for record in snapshot.rrset(APEX, rtype)
        if split(record)[4] in rdata
    }
    blocks = []
    for block in snapshot.blocks:
        records = block.records()
        kept = [r for r in records if r not in gone and not left_out(r, key_end(r))]
        if len(kept) == len(records):
            blocks.append(block)
        elif kept:
            spelling, stays = block.spelling(), set(kept)
            blocks.append(Block.make(kept, {r: spelling[r] for r in spelling if r in stays}))
    return Snapshot(snapshot.origin, blocks)

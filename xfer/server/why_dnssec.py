"""What is worth telling about a zone's signing: what is broken, whom it hangs on, what is next."""

from __future__ import annotations

from collections.abc import Iterator

from xfer.dnssec.keystate import FOREIGN, ZoneState
from xfer.server.dnssec_status import DnssecStatus, DsMatch
from xfer.server.reasons import Reason, Weight, ago, due, span
from xfer.server.status import ZoneStatus

LATE = 60.0  # seconds after which a secondary that keys wait for is worth a sentence
OVERDUE = 3600.0  # seconds by which the renewal of signatures may be late without a sentence
SIGNED = (ZoneState.PENDING, ZoneState.ACTIVE)


def reasons(zone: ZoneStatus, now: float) -> Iterator[Reason]:
    """Sentences about its signing, in no order; none for a zone that is not signed here."""
    dnssec = zone.dnssec
    if dnssec is None:
        return
    yield from _error(zone, dnssec, now)
    yield from _mismatch(zone, dnssec)
    if not dnssec.signed:
        yield from _came_signed(zone, dnssec, now)
        yield from (Reason(Weight.NEXT, f"To do: {item}") for item in dnssec.todo)
        return
    if dnssec.received_serial != zone.serial:
        yield Reason(
            Weight.NOTE,
            f"It is signed here: the content of serial {dnssec.received_serial} is served as "
            f"serial {zone.serial}.",
        )
    yield from _keyset(zone, dnssec, now)
    yield from _signatures(zone, dnssec, now)
    yield from _parent(zone, dnssec, now)
    yield from _secondaries(dnssec, now)
    yield from (Reason(Weight.NEXT, f"To do: {item}") for item in dnssec.todo)
    yield from _keys(dnssec, now)


def _error(zone: ZoneStatus, dnssec: DnssecStatus, now: float) -> Iterator[Reason]:
    if not dnssec.error:
        return
    since = "" if dnssec.failed_at is None else f" since {ago(dnssec.failed_at, now)}"
    then = ""
    if dnssec.signed and dnssec.ends_at is not None:
        then = (
            f" What is served stays as it is; its first signature ends {due(dnssec.ends_at, now)}."
        )
    elif zone.serial is None:
        then = " Nothing is served before that."
    yield Reason(Weight.BROKEN, f"Signing fails{since}: {_ended(dnssec.error)}{then}")


def _mismatch(zone: ZoneStatus, dnssec: DnssecStatus) -> Iterator[Reason]:
    if dnssec.mismatch:
        yield Reason(Weight.DEGRADED, f"Config and state of {zone.name} differ: {dnssec.mismatch}.")


def _keyset(zone: ZoneStatus, dnssec: DnssecStatus, now: float) -> Iterator[Reason]:
    """The signatures of the DNSKEY RRset, where somebody else makes them."""
    ends = dnssec.keyset_ends_at
    if ends is None or ends - now > dnssec.refresh:
        return
    if ends <= now:
        yield Reason(
            Weight.BROKEN,
            f"The signatures of the DNSKEY RRset of {zone.name} ended {ago(ends, now)}: validators "
            "call the zone bogus until whoever has the KSK has handed in new ones.",
        )
    else:
        yield Reason(
            Weight.DEGRADED,
            f"The signatures of the DNSKEY RRset of {zone.name}, which whoever has the KSK makes, "
            f"end {due(ends, now)}, and validators call the zone bogus from then on.",
        )


def _signatures(zone: ZoneStatus, dnssec: DnssecStatus, now: float) -> Iterator[Reason]:
    ends, renew = dnssec.ends_at, dnssec.renew_at
    if ends is None:
        return
    if ends <= now:
        if ends == dnssec.keyset_ends_at:
            return
        yield Reason(
            Weight.BROKEN,
            f"The first signature of {zone.name} ended {ago(ends, now)}: validators call what it "
            "covers bogus.",
        )
    elif renew is not None and renew < now - OVERDUE:
        yield Reason(
            Weight.DEGRADED,
            f"Signatures should have been renewed {ago(renew, now)}; the first one ends "
            f"{due(ends, now)}, and validators call what it covers bogus from then on.",
        )


def _came_signed(zone: ZoneStatus, dnssec: DnssecStatus, now: float) -> Iterator[Reason]:
    """Signatures that others made, and others have to renew (REQUIREMENTS A35)."""
    ends, warn_at = dnssec.ends_at, dnssec.warn_at
    if ends is None or warn_at is None:
        return
    whose = f"The first signature of {zone.name}, which comes signed"
    do = f"what to do: sign its file anew, with a serial above {zone.serial}, and `xfer reload`"
    if zone.role == "secondary":
        checked = "" if zone.checked_at is None else f" (asked {ago(zone.checked_at, now)})"
        do = (
            "what to do: see that whoever signs it renews them, and that a primary hands out a "
            f"serial above {zone.serial}{checked}"
        )
    if ends <= now:
        yield Reason(
            Weight.BROKEN,
            f"{whose}, ended {ago(ends, now)}, at {dnssec.ends_first}: validators call what it "
            f"covers bogus. Nobody can renew it here; {do}.",
        )
    elif warn_at <= now:
        yield Reason(
            Weight.DEGRADED,
            f"{whose}, ends {due(ends, now)}, at {dnssec.ends_first}, and validators call what it "
            f"covers bogus from then on; {do}.",
        )
    else:
        yield Reason(Weight.NOTE, f"{whose}, ends {due(ends, now)}, at {dnssec.ends_first}.")


def _parent(zone: ZoneStatus, dnssec: DnssecStatus, now: float) -> Iterator[Reason]:
    ds = dnssec.ds
    if ds.error:
        yield Reason(
            Weight.DEGRADED, f"The last look at the parent's servers told nothing: {ds.error}."
        )
    present = ", ".join(ds.present)
    strangers = [ident for ident in ds.present if ident.startswith(FOREIGN)]
    if ds.match is DsMatch.DIFFERS and len(strangers) == len(ds.present):
        if dnssec.state in SIGNED:
            yield Reason(
                Weight.BROKEN,
                f"The parent has only a DS of {zone.name} that is of no key here ({present}, seen "
                f"{ago(ds.at, now)}): validators call it bogus.",
            )
    elif ds.match is DsMatch.DIFFERS:
        yield Reason(
            Weight.NOTE,
            f"The parent has the DS of {present}, and is to have "
            f"{' and '.join(ds.wanted) or 'none'} (seen {ago(ds.at, now)}).",
        )
    elif ds.match is DsMatch.NOT_SEEN:
        yield Reason(
            Weight.DEGRADED,
            f"There is no DS of {zone.name} at the parent (seen {ago(ds.at, now)}), so that nobody "
            f"validates it; that of {' and '.join(ds.wanted)} is to be there.",
        )


def _secondaries(dnssec: DnssecStatus, now: float) -> Iterator[Reason]:
    for item in dnssec.held_up:
        if now - item.since < LATE:
            continue
        yield Reason(
            Weight.DEGRADED,
            f"Keys wait for secondary {item.name}, which has not got serial {item.serial} "
            f"for {span(now - item.since)}; it is waited for no longer {due(item.until, now)}, "
            "when SOA EXPIRE has passed.",
        )


def _keys(dnssec: DnssecStatus, now: float) -> Iterator[Reason]:
    """What happens to a key first."""
    coming = [(key.at, key) for key in dnssec.keys if key.at is not None and key.at > now]
    if not coming:
        return
    at, key = min(coming, key=lambda one: one[0])
    yield Reason(
        Weight.NEXT,
        f"Next of its keys: {key.role.value} {key.ident}, {key.event}, in {span(at - now)}.",
    )


def _ended(sentence: str) -> str:
    return sentence.rstrip(".") + "."

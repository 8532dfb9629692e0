"""Why a zone is, or is not, current: plain sentences out of recorded state (REQUIREMENTS C1, C3).

`reasons` is a pure function of what the engine has on record about a zone; it asks nobody and reads
no log. The first sentence says what is served and whether that is what it should be; then what is
broken, what is degraded, what happens next, and what is merely worth knowing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xfer.server import why_dnssec
from xfer.server.reasons import Reason, Weight, ago, due, span
from xfer.server.status import (
    FailureReport,
    IxfrState,
    PrimaryStatus,
    RefusedSource,
    SecondaryStatus,
    ZoneState,
    ZoneStatus,
)
from xfer.wire.serial import newer

LATE = 60.0  # seconds after which a secondary that has not followed is worth a sentence


def reasons(zone: ZoneStatus, refused: Sequence[RefusedSource], now: float) -> list[Reason]:
    """Everything worth telling about a zone, most important first.

    refused: requests refused by the server, of which those for this zone or from its peers are
    told; now: Unix seconds.
    """
    found = [
        *_state(zone, now),
        *_damaged(zone),
        *_running(zone, now),
        *_errors(zone, now),
        *_primaries(zone, now),
        *_next(zone, now),
        *_secondaries(zone, now),
        *why_dnssec.reasons(zone, now),
        *_refused(zone, refused, now),
        *(Reason(Weight.NOTE, f"A check warns: {warning}.") for warning in zone.findings),
    ]
    order = list(Weight)
    return sorted(found, key=lambda reason: order.index(reason.weight))


def _state(zone: ZoneStatus, now: float) -> Iterator[Reason]:
    name, serial, state = zone.name, zone.serial, zone.state
    if state is ZoneState.LOADING:
        yield Reason(Weight.STATE, f"{name} is being read from the journal and not served yet.")
        return
    if serial is None:
        yield Reason(
            Weight.STATE,
            f"{name} is not served: no version of it was ever received. Answers are SERVFAIL.",
        )
        return
    came = f"It is {_source(zone)}, published {ago(zone.published_at, now)}."
    if state is ZoneState.EXPIRED:
        expired = "" if zone.expires_at is None else f" {ago(zone.expires_at, now)}"
        yield Reason(
            Weight.STATE,
            f"{name} expired{expired}: no primary confirmed it in the time that its SOA allows. "
            f"Answers are SERVFAIL; serial {serial} is kept. {_checked(zone, now)}",
        )
    if zone.held is not None:
        held = zone.held
        yield Reason(
            Weight.STATE,
            f"{name} is held at {held.where(serial)} since {ago(held.at, now)}: a rollback to the "
            f"content of {held.what} (v{held.content_version}). Its primaries are "
            f"not followed until `xfer zone release {name}`.",
        )
    if zone.held is not None or state is ZoneState.EXPIRED:
        return
    came_as = zone.content_serial
    known = [item for item in zone.primaries if item.serial is not None]
    ahead = [item for item in known if _ahead(item, came_as)]
    if zone.role == "primary":
        trouble = ", and what should replace it failed" if zone.error else ""
        yield Reason(Weight.STATE, f"{name} serves serial {serial}{trouble}. {came}")
    elif zone.raised:
        yield Reason(
            Weight.STATE,
            f"{name} serves serial {serial}, which has a primary's content under a serial of our "
            f"own ({_source(zone)}, published {ago(zone.published_at, now)}). A primary is "
            f"followed once its serial passes {came_as}; until then `xfer zone release {name} "
            "--follow` takes what it has by then.",
        )
    elif zone.made_here:
        theirs = ", ".join(
            f"{item.peer} has {item.serial}" for item in zone.primaries if item.serial is not None
        )
        yield Reason(
            Weight.STATE,
            f"{name} is not current: it serves serial {serial}, whose content was made here "
            f"({_source(zone)}, published {ago(zone.published_at, now)}), not by a primary. A "
            f"primary is followed once its serial passes {came_as}"
            f"{f' ({theirs})' if theirs else ''}; `xfer force-axfr {name}` takes theirs at once, "
            "but secondaries follow a lower or equal serial only after a transfer by hand.",
        )
    elif ahead:
        told = ", ".join(f"{item.peer} has {item.serial}" for item in ahead)
        yield Reason(
            Weight.STATE, f"{name} is stale: it serves serial {serial}, while {told}. {came}"
        )
    elif zone.error is not None:
        yield Reason(
            Weight.STATE,
            f"{name} serves serial {serial}, and whether that is current is not known: the last "
            f"check failed. {_checked(zone, now)} {came}",
        )
    elif zone.checked_at is None:
        yield Reason(
            Weight.STATE,
            f"{name} serves serial {serial}, which no primary has confirmed since the start. "
            f"{came}",
        )
    elif known and came_as not in (item.serial for item in known):
        told = ", ".join(f"{item.peer} has {item.serial}" for item in known)
        yield Reason(
            Weight.STATE,
            f"{name} serves serial {serial}, which no primary is known to have any more: {told}. "
            f"A serial that is not above {came_as} is not followed: raise it on the primary. "
            f"`xfer force-axfr {name}` takes theirs at once, but secondaries follow a lower "
            f"serial only after a transfer by hand. {came}",
        )
    else:
        yield Reason(
            Weight.STATE,
            f"{name} is current: it serves serial {serial}, confirmed by a primary "
            f"{ago(zone.checked_at, now)}. {came}",
        )


def _damaged(zone: ZoneStatus) -> Iterator[Reason]:
    """What was passed over when the zone was read from the journal."""
    if not zone.damaged:
        return
    older = "" if zone.serial is None else f", and serial {zone.serial} took its place"
    if zone.role == "primary":
        then = (
            "where there is a copy of its content, give that a serial above the damaged one, and "
            "`xfer zone import` it"
        )
    else:
        then = "a transfer heals it"
    yield Reason(
        Weight.BROKEN,
        f"The journal's newest version could not be read at the start{older}: "
        f"{'; '.join(zone.damaged)}. What to do: {then}; `xfer journal verify` names all damage.",
    )


def _running(zone: ZoneStatus, now: float) -> Iterator[Reason]:
    running = zone.transfer
    if running is not None:
        serial = "" if running.serial is None else f" of serial {running.serial}"
        yield Reason(
            Weight.BROKEN if zone.serial is None else Weight.NEXT,
            f"A transfer{serial} from {running.peer} runs ({running.kind}, "
            f"{running.phase.value}, {running.records:,} records so far), begun "
            f"{ago(running.started, now)}.",
        )


def _errors(zone: ZoneStatus, now: float) -> Iterator[Reason]:
    """The zone's own error, where no primary tells it."""
    error = zone.error
    told = {item.error.sentence for item in zone.primaries if item.error is not None}
    if error is not None and error.sentence not in told:
        yield Reason(Weight.BROKEN, f"{_failed('The last attempt', error, now)}")


def _primaries(zone: ZoneStatus, now: float) -> Iterator[Reason]:
    serial = zone.content_serial
    works = zone.error is None and zone.state is not ZoneState.EXPIRED
    for item in zone.primaries:
        who = f"Primary {item.peer} ({item.address})"
        if item.error is not None:
            times = f", the {_ordinal(item.failures)} time in a row" if item.failures > 1 else ""
            yield Reason(
                Weight.DEGRADED if works else Weight.BROKEN,
                f"{_failed(f'{who} failed{times}', item.error, now)}",
            )
        elif item.behind and serial is not None and zone.held is None:
            yield Reason(
                Weight.DEGRADED,
                f"{who} has serial {item.serial}, which is behind ours ({serial}), and is not "
                f"followed; `xfer force-axfr {zone.name} --peer {item.peer}` takes it "
                "nevertheless.",
            )
        elif item.serial is not None and serial is not None:
            rtt = "" if item.rtt is None else f", in {item.rtt * 1000:.1f} ms"
            yield Reason(
                Weight.NOTE,
                f"{who} has serial {item.serial}: it said so {ago(item.checked_at, now)}{rtt}.",
            )
        elif item.checked_at is None:
            yield Reason(Weight.NOTE, f"{who} has not been asked yet.")
        yield from _diverged(zone, item, who)
        yield from _ixfr(item, who, now)


def _diverged(zone: ZoneStatus, item: PrimaryStatus, who: str) -> Iterator[Reason]:
    """It had other content than was served here, under the same serial."""
    if item.diverged is None:
        return
    other = f"{who} had other content under serial {item.diverged} than "
    other += "was made" if item.diverged_here else "was served"
    if zone.serial is not None and newer(zone.serial, item.diverged):
        yield Reason(
            Weight.NOTE,
            f"{other} here under it; secondaries that follow to serial {zone.serial} have what is "
            "served.",
        )
    elif item.diverged_here:
        yield Reason(
            Weight.DEGRADED,
            f"{other} and served here under it, so that secondaries that have serial "
            f"{item.diverged} cannot tell which one they have. What to do: raise the serial on "
            "the primary, or transfer by hand there.",
        )
    elif len(zone.primaries) == 1:
        yield Reason(
            Weight.DEGRADED,
            f"{other} here under it: it was changed there without a new serial, and secondaries "
            f"that have serial {item.diverged} cannot tell. What to do: raise the serial there.",
        )
    else:
        yield Reason(
            Weight.DEGRADED,
            f"{other} here under it: its primaries differ, and secondaries cannot tell. What to "
            "do: raise the serial where the content is right (until then `xfer force-axfr "
            f"{zone.name} --peer {item.peer}` takes this one's).",
        )


def _ixfr(item: PrimaryStatus, who: str, now: float) -> Iterator[Reason]:
    error = item.ixfr_error
    if error is not None:
        start = "" if item.ixfr_broken is None else f" from serial {item.ixfr_broken}"
        again = "" if item.ixfr_broken is None else ", and is not asked again from there"
        yield Reason(
            Weight.DEGRADED,
            f"{_failed(f'IXFR{start} from {item.peer} failed', error, now)} AXFR takes its "
            f"place{again}.",
        )
    elif item.ixfr is IxfrState.FULL:
        yield Reason(Weight.NOTE, f"{who} answers IXFR with the whole zone.")


def _next(zone: ZoneStatus, now: float) -> Iterator[Reason]:
    if zone.next_action and zone.next_at is not None:
        yield Reason(Weight.NEXT, f"Next: {zone.next_action}, {due(zone.next_at, now)}.")
    if zone.expires_at is not None and zone.expires_at > now:
        yield Reason(
            Weight.NEXT,
            f"Unless a primary confirms it before, it expires {due(zone.expires_at, now)}; "
            "answers are SERVFAIL from then on.",
        )


def _secondaries(zone: ZoneStatus, now: float) -> Iterator[Reason]:
    for item in zone.secondaries:
        who = f"Secondary {item.peer} ({item.address})"
        known = _known(item, now)
        lags = bool(item.lag_serials) and (item.lag_seconds or 0.0) >= LATE
        if (
            zone.serial is not None
            and item.seen_serial is not None
            and (newer(item.seen_serial, zone.serial))
        ):
            yield Reason(
                Weight.DEGRADED,
                f"{who} has serial {item.seen_serial}, which is above ours ({zone.serial}): it "
                "will not follow until ours passes that, or until it is told there to transfer "
                f"anew (BIND: `rndc retransfer`); {known}.",
            )
        elif item.pending is not None or item.given_up_at is not None or lags:
            behind = ":"
            if item.lag_serials:
                versions = "" if item.lag_versions is None else f", {_versions(item.lag_versions)}"
                since = "" if item.lag_seconds is None else f" for {span(item.lag_seconds)}"
                behind = f" is {item.lag_serials} serials{versions} behind{since};"
            yield Reason(Weight.DEGRADED, f"{who}{behind} {known}{_notify(item, now)}.")
        elif known:
            yield Reason(Weight.NOTE, f"{who}: {known}{_notify(item, now)}.")
        else:
            yield Reason(Weight.NOTE, f"{who} has not been heard of.")


def _known(item: SecondaryStatus, now: float) -> str:
    parts = []
    if item.fetched_serial is not None:
        kind = f" ({item.fetched_kind})" if item.fetched_kind else ""
        parts.append(f"it fetched serial {item.fetched_serial}{kind} {ago(item.fetched_at, now)}")
    if item.seen_serial is not None:
        parts.append(f"it answered with serial {item.seen_serial} {ago(item.seen_at, now)}")
    elif item.probe_error:
        parts.append(f"it does not tell its serial: {item.probe_error}")
    return ", ".join(parts)


def _notify(item: SecondaryStatus, now: float) -> str:
    lead = ", " if _known(item, now) else ""
    if item.given_up_at is not None:
        serial = "" if item.pending is None else f" for serial {item.pending}"
        return (
            f"{lead}NOTIFY{serial} was given up {ago(item.given_up_at, now)} after "
            f"{item.tries} rounds: {item.notify_result}; `xfer notify` tries again"
        )
    if item.pending is not None:
        following = "" if item.next_at is None else f"; next try {due(item.next_at, now)}"
        # NOERROR is the answer to the last one that was delivered, for an older serial.
        last = "" if item.notify_result == "NOERROR" else item.notify_result
        result = f": {last}" if last else " yet"
        return f"{lead}NOTIFY for serial {item.pending} is not delivered{result}{following}"
    if item.notified_serial is not None:
        return f"{lead}NOTIFY for serial {item.notified_serial}: {item.notify_result}"
    return ""


def _refused(zone: ZoneStatus, refused: Iterable[RefusedSource], now: float) -> Iterator[Reason]:
    peers: dict[str, str] = {}
    for primary in zone.primaries:
        peers[primary.address.partition("#")[0]] = primary.peer
    for secondary in zone.secondaries:
        peers[secondary.address.partition("#")[0]] = secondary.peer
    for item in refused:
        peer = peers.get(item.source)
        if item.zone == zone.name or (not item.zone and peer is not None):
            who = item.source if peer is None else f"{peer} ({item.source})"
            yield Reason(
                Weight.NOTE if peer is None else Weight.DEGRADED,
                f"{_requests(item.count)} from {who} refused, last {ago(item.last_at, now)}: "
                f"{item.reason}.",
            )


def _source(zone: ZoneStatus) -> str:
    return f"version v{zone.version}, {zone.source or 'an unknown source'}"


def _checked(zone: ZoneStatus, now: float) -> str:
    if zone.checked_at is None:
        return "No check has succeeded since the start."
    return f"The last check that succeeded was {ago(zone.checked_at, now)}."


def _failed(what: str, error: FailureReport, now: float) -> str:
    sentence = error.sentence.rstrip(".")
    hint = f" ({error.hint})" if error.hint and error.hint not in sentence else ""
    return f"{what}, {ago(error.at, now)}: {sentence}{hint}."


def _ahead(item: PrimaryStatus, serial: int | None) -> bool:
    return item.serial is not None and serial is not None and newer(item.serial, serial)


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"


def _versions(count: int) -> str:
    return "1 version" if count == 1 else f"{count} versions"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"

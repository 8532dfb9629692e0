"""Response rate limiting: no more answers of one kind to one network than it may want.

Who forges the addresses of his queries makes a server flood them with answers. So answers over UDP
are counted by network and kind, in token buckets; above the rate, most are dropped, and each
`slip`-th goes out with nothing in it but TC, so that a real client there asks again over TCP. One
that sends a cookie gets BADCOOKIE and a good one (RFC 7873 §5.2.3), with which it is free. Of
answers that have no content anyway each `slip`-th goes out as it is.
Requests whose sender is known (a valid cookie, a TSIG) do not come here.
"""

from __future__ import annotations

import enum
import ipaddress
from collections import OrderedDict
from collections.abc import Sequence

import attrs
import structlog

from xfer.peers import IPAddress, IPNetwork
from xfer.wire.codes import BADCOOKIE, NOERROR, NXDOMAIN
from xfer.wire.edns import Edns
from xfer.wire.request import make_error

log = structlog.get_logger()

SECONDS_BETWEEN_LINES = 60.0
LINES_A_MINUTE = 20

ANSWER, NO_DATA, NO_NAME, REFERRAL, ERROR = range(5)
KINDS = ("answer", "no data", "no such name", "referral", "error")


class Verdict(enum.Enum):
    """What becomes of an answer."""

    SEND = "send"
    DROP = "drop"
    SLIP = "slip"  # to be sent without content


@attrs.frozen
class Rates:
    """rate: answers a second, 0 for any number; burst: how many may go at once after a pause;
    slip: of how many above the rate one is sent without content, 0 for none; prefix4, prefix6:
    bits of a network; table: buckets kept; exempt: ranges that are not limited; peers: nor
    these."""

    rate: float = 0.0
    burst: float = 1.0
    slip: int = 2
    prefix4: int = 24
    prefix6: int = 56
    table: int = 100_000
    exempt: Sequence[IPNetwork] = ()
    peers: frozenset[IPAddress] = frozenset()


class RateLimiter:
    """Buckets by network and kind of answer; the one silent longest makes room for a new one."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._buckets: OrderedDict[int, _Bucket] = OrderedDict()
        self._minute = float("-inf")  # since when the lines of the log are counted
        self._lines = 0
        self.on = rates.rate > 0

    def resize(self, rates: Rates) -> None:
        """Other rates; all networks start with what they may have after a pause."""
        self._rates = rates
        self._buckets.clear()
        self.on = rates.rate > 0

    def judge(self, client: IPAddress, reply: bytes, now: float) -> Verdict:
        """What becomes of the answer. now: monotonic seconds."""
        rates = self._rates
        if client in rates.peers or any(client in network for network in rates.exempt):
            return Verdict.SEND
        if client.version == 4:
            network = int(client) >> (32 - rates.prefix4)
        else:
            network = 1 << 128 | int(client) >> (128 - rates.prefix6)
        kind = kind_of(reply)
        key = network << 3 | kind
        buckets = self._buckets
        bucket = buckets.get(key)
        if bucket is None:
            if len(buckets) >= rates.table:
                buckets.popitem(last=False)
            bucket = buckets[key] = _Bucket(rates.burst, now)
        else:
            buckets.move_to_end(key)
        if bucket.take(rates, now):
            return Verdict.SEND
        bucket.above += 1
        if now - bucket.told >= SECONDS_BETWEEN_LINES:
            bucket.told = now
            self._tell(client, kind, now)
        return Verdict.SLIP if rates.slip and bucket.above % rates.slip == 0 else Verdict.DROP

    def _tell(self, client: IPAddress, kind: int, now: float) -> None:
        """A line of the log; not more of them than somebody reads, whatever is forged."""
        if now - self._minute >= SECONDS_BETWEEN_LINES:
            self._minute, self._lines = now, 0
        self._lines += 1
        if self._lines > LINES_A_MINUTE:
            return
        rates = self._rates
        bits = rates.prefix4 if client.version == 4 else rates.prefix6
        network = ipaddress.ip_network(f"{client}/{bits}", strict=False)
        log.warning("rate limited", network=str(network), kind=KINDS[kind], rate=rates.rate)


class _Bucket:
    """tokens: at `at`, monotonic seconds; above: answers that found none; told: when logged."""

    __slots__ = ("above", "at", "tokens", "told")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at
        self.above = 0
        self.told = float("-inf")

    def take(self, rates: Rates, now: float) -> bool:
        """A token, if there is one."""
        tokens = min(rates.burst, self.tokens + (now - self.at) * rates.rate)
        self.at = now
        taken = tokens >= 1
        self.tokens = tokens - 1 if taken else tokens
        return taken


def kind_of(reply: bytes) -> int:
    """Which kind of answer a message is, by its header alone."""
    rcode = reply[3] & 15
    if rcode == NXDOMAIN:
        return NO_NAME
    if rcode != NOERROR:
        return ERROR
    if reply[6] or reply[7]:
        return ANSWER
    authoritative = reply[2] & 4
    return REFERRAL if not authoritative and (reply[8] or reply[9]) else NO_DATA


def is_error(rcode: int, reply: bytes) -> bool:
    """Whether an answer has nothing in it but its RCODE, extended where it is: over TCP there is no
    more to be had, and without the RCODE a NOTIFY would be taken, an update made."""
    return rcode != NOERROR and not any(reply[6:10])


def without_content(request: bytes, edns: Edns | None, cookie: bool) -> bytes | None:
    """What goes out in place of an answer: BADCOOKIE to a request with a cookie, of which `edns`
    has a good one, else TC."""
    if cookie:
        return make_error(request, BADCOOKIE, edns)
    made = make_error(request, NOERROR, edns)
    return None if made is None else made[:2] + bytes([made[2] | 2]) + made[3:]

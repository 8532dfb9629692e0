"""From the octets of a request to what is to be done about it; no I/O, no waiting.

not a request, cut header           nothing: such things are never answered
TSIG that fails                     the answer of RFC 8945 §5.2
malformed                           FORMERR
EDNS version above 0                BADVERS
unknown opcode                      NOTIMP
malformed cookie                    FORMERR
no question, but a cookie           NOERROR, BADCOOKIE where it has one that is not ours
class not IN, zone not ours         REFUSED; NOTAUTH for transfers (RFC 5936 §2.2.1) and NOTIFY
query of an address not allowed     REFUSED
zone without a valid version        SERVFAIL
AXFR, IXFR over TCP                 `Transfer`, where the client may; else REFUSED
IXFR over UDP                       the differences where they fit, else the SOA (RFC 1995 §2)
AXFR over UDP                       FORMERR (RFC 5936 §4.2 has it over TCP only)
NOTIFY from a primary of the zone   NOERROR, and `Notified`; from others REFUSED
query for NXNAME                    FORMERR (RFC 9824 §3.5)
other queries                       the answer (`xfer.answer.lookup`); TC over UDP and SERVFAIL over
                                    TCP where it would have to be signed and may not be
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs
import structlog

from xfer.answer.online import NXNAME
from xfer.answer.options import (
    EDE_INVALID_DATA,
    EDE_INVALID_QUERY_TYPE,
    EDE_NOT_AUTHORITATIVE,
    EDE_NOT_READY,
    EDE_OTHER,
    EDE_PROHIBITED,
    Offer,
    asks_cookie,
    edns_for,
    extended_error,
    offered,
)
from xfer.answer.respond import soa_only, truncated
from xfer.clock import Clock, utc
from xfer.errors import SigningBusy, WireError
from xfer.peers import IPAddress, admit
from xfer.server.handled import Handled, Notified, Transfer
from xfer.server.heard import Heard
from xfer.server.refusals import Refusals
from xfer.server.rrl import RateLimiter, Rates, Verdict, is_error, without_content
from xfer.server.statistics import Statistics
from xfer.server.zone_table import ZoneTable
from xfer.server.zones import Zone
from xfer.transfer.outbound import Decision, decide, in_one_message
from xfer.wire.codes import (
    BADCOOKIE,
    BADVERS,
    FORMERR,
    NOERROR,
    NOTAUTH,
    NOTIMP,
    REFUSED,
    SERVFAIL,
)
from xfer.wire.edns import Edns
from xfer.wire.header import bumped
from xfer.wire.names import lower, to_text
from xfer.wire.request import Kind, Request, edns_of, make_error, parse_request
from xfer.wire.tsig import Key, RequestRefused, ResponseSigner, VerifiedRequest, verify_request

if TYPE_CHECKING:
    from xfer.server.changes import Changes

log = structlog.get_logger()

MAX_TCP = 65_535
MIN_UDP = 512
NOT_OURS = "not a zone of this server"


@attrs.define(eq=False)
class Dispatcher:
    """Everything that answering needs to know.

    keys: by lower-case wire name; payload: the largest UDP answer and what our OPT offers;
    changes: the differences that IXFR over UDP may get, None for its SOA alone; offer: the options
    that our OPT has; limiter: of answers over UDP.
    """

    table: ZoneTable
    keys: Mapping[bytes, Key]
    clock: Clock
    payload: int = 1232
    refusals: Refusals = attrs.Factory(Refusals)
    changes: Changes | None = None
    offer: Offer = attrs.Factory(Offer)
    statistics: Statistics = attrs.Factory(Statistics)
    limiter: RateLimiter = attrs.Factory(lambda: RateLimiter(Rates()))

    def handle(self, message: bytes, client: IPAddress, tcp: bool) -> Handled:
        """What the request gets. Never raises, whatever the octets."""
        statistics = self.statistics
        began = self.clock.monotonic() if statistics.timed() else None
        heard = Heard()
        try:
            handled = self._handle(message, client, tcp, heard)
            reply, work = handled.reply, handled.work
            limited = self.limiter.on and work is None and not tcp and not heard.genuine
            if limited and reply is not None:
                verdict = self.limiter.judge(client, reply, self.clock.monotonic())
                handled = Handled(self.left(verdict, message, heard, reply))
        except Exception as error:
            # A mistake of ours costs one request, not the daemon.
            log.error("internal error", peer=str(client), error=str(error), exc_info=error)
            handled = Handled(make_error(message, SERVFAIL))
        reply, work = handled.reply, handled.work
        sent = NOERROR if isinstance(work, Transfer) else heard.rcode(reply)
        statistics.count(heard.kind(), sent, tcp)
        if began is not None:
            statistics.took(self.clock.monotonic() - began)
        return handled

    def left(self, verdict: Verdict, message: bytes, heard: Heard, reply: bytes) -> bytes | None:
        """What the rate limit leaves of an answer, counted."""
        if verdict is Verdict.SEND:
            return reply
        if verdict is Verdict.DROP:
            self.statistics.count_limited("dropped")
            return None
        cookie = heard.options.cookie
        if heard.request is None or (not cookie and is_error(heard.rcode(reply), reply)):
            self.statistics.count_limited("unchanged")
            return reply
        self.statistics.count_limited("badcookie" if cookie else "truncated")
        heard.extended = BADCOOKIE if cookie else 0
        return without_content(message, self._opt(heard.request), cookie)

    def hear(self, message: bytes, client: IPAddress, tcp: bool) -> Heard:
        """A plain query that was answered the short way. Raises WireError where it is none."""
        heard = Heard()
        heard.request = request = parse_request(message)
        made = offered(request.edns, self.offer, client.packed, tcp, int(self.clock.wall()))
        if made is not None:
            heard.options, request.offered = made, made.options
        return heard

    def _handle(self, message: bytes, client: IPAddress, tcp: bool, heard: Heard) -> Handled:
        now = int(self.clock.wall())
        try:
            verified = verify_request(message, self.keys, now)
        except RequestRefused as refused:
            if not refused.unreadable:
                self.refusals.count(str(client), str(refused), now, "tsig")
                with suppress(WireError):
                    heard.request = parse_request(message)
            return Handled(refused.response(self.payload))
        except WireError:
            return Handled(make_error(message, FORMERR))
        signer = verified.signer()
        heard.signed = signer is not None
        handled = self._verified(verified, signer, client, tcp, heard)
        reply = handled.reply
        if reply is not None and signer is not None:
            reply = signer.sign(reply, now)
        return Handled(reply, handled.work)

    def _verified(
        self,
        verified: VerifiedRequest,
        signer: ResponseSigner | None,
        client: IPAddress,
        tcp: bool,
        heard: Heard,
    ) -> Handled:
        message = verified.message
        try:
            request = parse_request(message)
        except WireError:
            return self._unreadable(message, client, tcp, heard)
        heard.request = request
        if request.kind is Kind.OTHER:
            return self._not_implemented(message, heard)
        if request.edns is not None and request.edns.version > 0:
            heard.extended = BADVERS
            return self._error(message, request, BADVERS)
        options = offered(request.edns, self.offer, client.packed, tcp, int(self.clock.wall()))
        if options is None:
            return self._error(message, request, FORMERR)
        request.offered = options.options
        heard.options = options
        if request.question.rclass != 1:
            return self._error(message, request, REFUSED)
        name = lower(request.question.name)
        if request.kind is Kind.NOTIFY:
            return self._notify(message, request, name, verified.key, client)
        if request.kind is Kind.QUERY:
            return self._query(message, request, name, verified.key, signer, client, tcp)
        if request.kind is Kind.AXFR and not tcp:
            return self._error(message, request, FORMERR)
        return self._transfer(message, request, name, verified.key, signer, client, tcp)

    def _query(
        self,
        message: bytes,
        request: Request,
        name: bytes,
        key: Key | None,
        signer: ResponseSigner | None,
        client: IPAddress,
        tcp: bool,
    ) -> Handled:
        if request.question.rtype == NXNAME:
            return self._error(message, request, FORMERR, EDE_INVALID_QUERY_TYPE, "")
        zone = self.table.holding(name, request.question.rtype)
        if zone is None:
            return self._error(message, request, REFUSED, EDE_NOT_AUTHORITATIVE, NOT_OURS)
        self.statistics.count_zone(zone.origin)
        settings = zone.config
        if settings.allow_query:
            peers = (*settings.primaries, *settings.secondaries)
            admission = admit(client, key, peers, settings.allow_query)
            if not admission.allowed:
                return self._refuse(message, request, client, admission.reason)
        now = self.clock.monotonic()
        snapshot = zone.serving(now)
        if snapshot is None:
            return self._no_version(message, request, zone)
        edns = edns_for(request, self.payload, zone.expires_in(now))
        limit = self._room(request, signer, tcp)
        try:
            return Handled(zone.responder(snapshot).respond(request, limit, edns, tcp))
        except SigningBusy as error:
            if tcp:
                return self._error(message, request, SERVFAIL, EDE_OTHER, str(error))
            return Handled(truncated(request, edns))

    def _transfer(
        self,
        message: bytes,
        request: Request,
        name: bytes,
        key: Key | None,
        signer: ResponseSigner | None,
        client: IPAddress,
        tcp: bool,
    ) -> Handled:
        zone = self.table.exact(name)
        if zone is None:
            return self._no_such_zone(message, request, client)
        admission = admit(client, key, zone.config.secondaries, zone.config.allow_transfer)
        if not admission.allowed:
            return self._refuse(message, request, client, admission.reason)
        now = self.clock.monotonic()
        snapshot = zone.serving(now)
        decision = decide(
            request.question.rtype,
            request.ixfr_serial,
            snapshot.serial if snapshot is not None else None,
        )
        if snapshot is None or decision is Decision.SERVFAIL:
            return self._no_version(message, request, zone)
        edns = edns_for(request, self.payload, zone.expires_in(now))
        transfer = Transfer(
            zone=zone,
            snapshot=snapshot,
            version=zone.version,
            request=request,
            message=message,
            signer=signer,
            opt=edns.build() if edns is not None else b"",
            only_soa=decision is Decision.SOA_ONLY,
            client=admission.peer.name if admission.peer is not None else str(client),
        )
        if tcp:
            return Handled(work=transfer)
        limit = self._room(request, signer, tcp)
        reply = None if transfer.only_soa else self._ixfr_in_one(transfer, limit)
        if reply is not None:
            return Handled(reply, transfer.sent("ixfr"))
        return Handled(soa_only(request, snapshot, limit, edns), transfer.sent("soa"))

    def _ixfr_in_one(self, transfer: Transfer, limit: int) -> bytes | None:
        """All differences in one datagram, where they are in memory and fit (RFC 1995 §2)."""
        request = transfer.request
        if self.changes is None or transfer.version is None or request.ixfr_serial is None:
            return None
        found = self.changes.ready(transfer.version, transfer.snapshot, request.ixfr_serial)
        if found is None:
            return None
        question = request.question.name, request.question.rtype
        made = in_one_message(found, request.id, request.rd, question, limit, transfer.opt)
        if made is not None:
            log.info(
                "transfer",
                zone=transfer.zone.name,
                peer=transfer.client,
                direction="out",
                kind="ixfr",
                over="udp",
                serial_from=found.serial_from,
                serial_to=found.serial_to,
                records=len(found.removed) + len(found.added),
                messages=1,
                bytes=len(made),
            )
        return made

    def _notify(
        self, message: bytes, request: Request, name: bytes, key: Key | None, client: IPAddress
    ) -> Handled:
        zone = self.table.exact(name)
        if zone is None:
            return self._no_such_zone(message, request, client)
        admission = admit(client, key, zone.config.primaries, zone.config.allow_notify)
        if not admission.allowed or not zone.secondary:
            reason = admission.reason if zone.secondary else "NOTIFY for a primary zone"
            return self._refuse(message, request, client, reason)
        reply = make_error(message, NOERROR, self._opt(request), aa=True)
        return Handled(reply, Notified(zone, request.notify_serial, str(client)))

    def _refuse(self, message: bytes, request: Request, client: IPAddress, reason: str) -> Handled:
        self._count(request, client, reason)
        return self._error(message, request, REFUSED, EDE_PROHIBITED, "")

    def _no_such_zone(self, message: bytes, request: Request, client: IPAddress) -> Handled:
        self._count(request, client, "no zone of this server")
        return self._error(message, request, NOTAUTH, EDE_NOT_AUTHORITATIVE, NOT_OURS)

    def _count(self, request: Request, client: IPAddress, reason: str) -> None:
        zone = to_text(lower(request.question.name))
        self.refusals.count(str(client), reason, self.clock.wall(), request.kind.value, zone)

    def _no_version(self, message: bytes, request: Request, zone: Zone) -> Handled:
        """SERVFAIL; RFC 8914 §4.25 names expired zones, §4.15 servers that are not ready yet."""
        if zone.loading:
            return self._error(message, request, SERVFAIL, EDE_NOT_READY, "the zone is loading")
        text = "no version of the zone has come yet"
        if zone.snapshot is not None and zone.expires is not None:
            at = self.clock.wall() + zone.expires - self.clock.monotonic()
            text = f"the zone expired at {utc(at)}"
        return self._error(message, request, SERVFAIL, EDE_INVALID_DATA, text)

    def _unreadable(self, message: bytes, client: IPAddress, tcp: bool, heard: Heard) -> Handled:
        """FORMERR, but for the question without a question that asks for a cookie."""
        asked = edns_of(message)
        edns = Edns(0, self.payload, asked.do) if asked is not None else None
        rcode = FORMERR
        if edns is not None and asks_cookie(message, asked):
            made = offered(asked, self.offer, client.packed, tcp, int(self.clock.wall()))
            if made is not None:
                rcode = BADCOOKIE if made.spoilt else NOERROR
                heard.options, heard.extended = made, rcode
                edns.options += made.options
        return Handled(make_error(message, rcode, edns))

    def _error(
        self,
        message: bytes,
        request: Request,
        rcode: int,
        ede: int | None = None,
        text: str = "",
    ) -> Handled:
        edns = self._opt(request)
        if edns is not None and ede is not None:
            edns.options.append(extended_error(ede, text))
        return Handled(make_error(message, rcode, edns))

    def _opt(self, request: Request) -> Edns | None:
        asked = request.edns
        if asked is None:
            return None
        return Edns(0, self.payload, asked.do, list(request.offered), co=asked.co)

    def _not_implemented(self, message: bytes, heard: Heard) -> Handled:
        """NOTIMP, in a request that is not read to its end; a later version of EDNS comes first
        (RFC 6891 §6.1.3)."""
        asked = edns_of(message)
        if asked is None:
            return Handled(make_error(message, NOTIMP))
        if asked.version > 0:
            heard.extended = BADVERS
        rcode = heard.extended or NOTIMP
        return Handled(make_error(message, rcode, Edns(0, self.payload, asked.do)))

    def _room(self, request: Request, signer: ResponseSigner | None, tcp: bool) -> int:
        """Octets for an answer without its TSIG."""
        room = MIN_UDP
        if tcp:
            room = MAX_TCP
        elif request.edns is not None:
            room = min(max(request.edns.payload, MIN_UDP), max(self.payload, MIN_UDP))
        return room if signer is None else room - signer.key.tsig_size()


def error_reply(transfer: Transfer, rcode: int, now: int) -> bytes | None:
    """An error in place of a transfer, signed as its request was."""
    reply = make_error(transfer.message, rcode)
    if reply is not None and transfer.opt:
        reply = bumped(reply, transfer.opt)
    if reply is not None and transfer.signer is not None:
        return transfer.signer.sign(reply, now)
    return reply

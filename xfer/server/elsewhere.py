"""Asking a zone's other signers for its apex, and the parent for its delegation.

Over TCP alone: DNSKEY RRsets are large, it happens seldom, and who cannot see our packets cannot
answer in another's place (RFC 5452). An operator waits for the answers, so there is one try.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from xfer.config_parse import Endpoint
from xfer.dnssec.elsewhere import DelegationSaid, RrsetAnswer, Sides, SignerSaid, read_rrset
from xfer.errors import TransferError
from xfer.server.soa import ask_tcp
from xfer.server.target import Dial, Target, dial_tcp
from xfer.wire import names
from xfer.wire.message import Edns, make_query
from xfer.wire.records import CDNSKEY, CDS, DNSKEY, NS, SOA

TIMEOUT: Final = 5.0  # seconds to connect, and as many for the answer
ASKED: Final = (DNSKEY, NS, SOA, CDS, CDNSKEY)  # of each signer


class RrsetExchange:
    """One question for an RRset at the zone's apex; reads the answers to it."""

    def __init__(
        self,
        target: Target,
        origin: bytes,
        rtype: int,
        rng: random.Random,
        *,
        delegation: bool = False,
    ) -> None:
        self.target = target
        self.source = target.source or ""
        self._origin = names.lower(origin)
        self._rtype = rtype
        self._rng = rng
        self._delegation = delegation
        self._id = 0

    def request(self) -> bytes:
        """A fresh request."""
        self._id = self._rng.getrandbits(16)
        return make_query(self._id, self._origin, self._rtype, Edns(do=not self._delegation))

    def is_ours(self, message: bytes) -> bool:
        """Whether the octets may be an answer to the last request."""
        return len(message) >= 12 and message[:2] == struct.pack("!H", self._id)

    def read(self, message: bytes) -> RrsetAnswer | None:
        """What it says. Raises TransferError."""
        return read_rrset(message, self._id, self._origin, self._rtype, delegation=self._delegation)


@attrs.define
class Elsewhere:
    """Asks all of a zone's other signers and all of its parent's servers at once."""

    rng: random.Random
    dial: Dial = dial_tcp
    timeout: float = TIMEOUT

    async def ask(
        self, origin: bytes, signers: Sequence[Endpoint], parent: Sequence[Endpoint]
    ) -> Sides:
        """What each of them says, in the order given. Raises nothing of its own."""
        told: dict[Endpoint, SignerSaid] = {}
        delegations: dict[Endpoint, DelegationSaid] = {}

        async def signer(endpoint: Endpoint) -> None:
            target = _target(endpoint)
            found: dict[int, RrsetAnswer] = {}
            errors: list[str] = []

            async def rrset(rtype: int) -> None:
                try:
                    found[rtype] = await self._rrset(target, origin, rtype)
                except TransferError as error:
                    errors.append(str(error))

            async with trio.open_nursery() as asking:
                for rtype in ASKED:
                    asking.start_soon(rrset, rtype)
            if errors:
                told[endpoint] = SignerSaid(target.text(), error=errors[0])
            else:
                told[endpoint] = SignerSaid(
                    target.text(),
                    found[DNSKEY],
                    found[NS],
                    found[SOA],
                    found[CDS],
                    found[CDNSKEY],
                )

        async def delegation(endpoint: Endpoint) -> None:
            target = _target(endpoint)
            try:
                ns = await self._rrset(target, origin, NS, delegation=True)
            except TransferError as error:
                delegations[endpoint] = DelegationSaid(target.text(), error=str(error))
            else:
                delegations[endpoint] = DelegationSaid(target.text(), ns)

        async with trio.open_nursery() as nursery:
            for endpoint in signers:
                nursery.start_soon(signer, endpoint)
            for endpoint in parent:
                nursery.start_soon(delegation, endpoint)
        return Sides(
            tuple(told[endpoint] for endpoint in signers),
            tuple(delegations[endpoint] for endpoint in parent),
        )

    async def _rrset(
        self, target: Target, origin: bytes, rtype: int, *, delegation: bool = False
    ) -> RrsetAnswer:
        exchange = RrsetExchange(target, origin, rtype, self.rng, delegation=delegation)
        try:
            return await ask_tcp(exchange, self.timeout, self.dial)
        except TransferError as error:
            error.peer = target.text(exchange.source)
            raise


def _target(endpoint: Endpoint) -> Target:
    return Target(str(endpoint.address), endpoint.port)

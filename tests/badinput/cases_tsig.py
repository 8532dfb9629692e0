"""Signatures that are missing, wrong or out of time (RFC 8945)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import attrs

from tests.badinput.case import (
    LATER,
    OFF,
    ON,
    Case,
    edit,
    protocol,
)
from tests.badinput.primary import (
    KEY,
    NOW,
    OPT,
    ORIGIN,
    OTHER_ALGORITHM,
    OTHER_NAME,
    OTHER_SECRET,
    Draft,
    Fault,
    rr,
)
from xfer.errors import Failure
from xfer.wire import tsig_record
from xfer.wire.tsig import Key


def _by(key: Key | None) -> Fault:
    return Fault(signature=lambda signature: attrs.evolve(signature, key=key))


def _clock(away: int) -> Fault:
    return Fault(signature=lambda signature: attrs.evolve(signature, time=signature.time + away))


def _flip(offset: int) -> Callable[[bytes], bytes]:
    """Changes one bit of the octet there; negative offsets count from the end."""

    def change(wire: bytes) -> bytes:
        at = offset if offset >= 0 else len(wire) + offset
        return wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]

    return change


def _peer_error(error: int, rcode: int = 9, other: bytes = b"") -> Fault:
    """The whole answer is one unsigned TSIG with that error."""

    def answer(wire: bytes) -> bytes:
        head = wire[:2] + struct.pack("!HHHHH", 0x8400 | rcode, 1, 0, 0, 0)
        end = 12 + len(ORIGIN) + 4
        msg_id = int.from_bytes(wire[:2], "big")
        record = tsig_record.build(KEY, NOW, 300, b"", msg_id, error, other)
        return tsig_record.append(head + wire[12:end], record)

    return Fault(transit=answer)


def _tsig() -> Iterator[Case]:
    auth = Failure.AUTH
    signer = "k1. with hmac-sha256"
    yield Case(
        "the first message unsigned",
        _by(None),
        auth,
        f"a response signed by {signer}",
        "an unsigned one with NOERROR (TSIG missing)",
        where=("first",),
        tsig=ON,
    )
    yield Case(
        "a message unsigned where none may be",
        _by(None),
        auth,
        "at most 0 unsigned messages between signed ones",
        "1 (TSIG too-many-unsigned)",
        where=LATER,
        tsig=ON,
        unsigned_messages=0,
    )
    yield Case(
        "the last message unsigned",
        _by(None),
        auth,
        f"a last message signed by {signer}",
        "1 unsigned at the end (TSIG unsigned-tail)",
        where=("last",),
        tsig=ON,
    )
    yield Case(
        "another key",
        _by(OTHER_NAME),
        auth,
        f"a TSIG by {signer}",
        "one by k2. (TSIG wrong-key)",
        tsig=ON,
    )
    yield Case(
        "another algorithm",
        _by(OTHER_ALGORITHM),
        auth,
        f"a TSIG by {signer}",
        "one with hmac-sha512. (TSIG wrong-algorithm)",
        tsig=ON,
    )
    mac = f"a MAC by {signer} over this message"
    differs = "another one: the secrets differ, or the message was changed (TSIG bad-mac)"
    yield Case("another secret", _by(OTHER_SECRET), auth, mac, differs, tsig=ON)
    yield Case("a changed MAC", Fault(transit=_flip(-10)), auth, mac, differs, tsig=ON)
    yield Case("a changed record", Fault(transit=_flip(60)), auth, mac, differs, tsig=ON)
    yield Case("changed flags", Fault(transit=_flip(2)), auth, mac, differs, tsig=ON)
    yield Case("a changed rcode", Fault(transit=_flip(3)), auth, mac, differs, tsig=ON)
    yield Case("a changed original ID", Fault(transit=_flip(-5)), auth, mac, differs, tsig=ON)
    for away, word in ((301, "ahead"), (-301, "behind")):
        yield Case(
            f"a clock {abs(away)} s {word}",
            _clock(away),
            auth,
            "a signature within 300 s of our clock",
            f"ours {NOW}, theirs {NOW + away}, 301 s {word} (TSIG bad-time)",
            tsig=ON,
        )
    for error, kind, expected, got in (
        (16, "peer-badsig", f"an answer signed by {signer}", "peer knows the name k1."),
        (17, "peer-badkey", f"an answer signed by {signer}", f"peer does not know {signer}"),
        (18, "peer-badtime", f"an answer signed by {signer}", "peer finds our clock wrong: ours "),
        (22, "peer-badtrunc", f"an answer signed by {signer}", "peer wants a longer MAC"),
    ):  # fmt: skip
        yield Case(
            f"the peer says {kind}",
            _peer_error(error),
            auth,
            expected,
            got,
            where=("first",),
            tsig=ON,
        )

    def unsigned_refusal(wire: bytes) -> bytes:
        end = 12 + len(ORIGIN) + 4
        return wire[:2] + struct.pack("!HHHHH", 0x8405, 1, 0, 0, 0) + wire[12:end]

    def with_opt(wire: bytes) -> bytes:
        return tsig_record.append(unsigned_refusal(wire), rr(b"\0", OPT, b"", rclass=1232, ttl=0))

    for title, transit in (("", unsigned_refusal), (" with OPT", with_opt)):
        yield Case(
            f"an unsigned REFUSED{title}",
            Fault(transit=transit),
            Failure.DENIED,
            "rcode NOERROR in a signed answer",
            "rcode REFUSED in an unsigned one",
            where=("first",),
            tsig=ON,
        )

    def unasked(wire: bytes) -> bytes:
        msg_id = int.from_bytes(wire[:2], "big")
        return tsig_record.append(wire, tsig_record.build(KEY, NOW, 300, bytes(32), msg_id, 0, b""))

    def below(draft: Draft) -> None:
        record = tsig_record.build(KEY, NOW, 300, bytes(32), draft.msg_id, 0, b"")
        draft.additional.append(record)

    yield Case(
        "a second TSIG before the right one",
        edit(below),
        auth,
        "the TSIG as last record of the additional section",
        "one as record {n1} of {n2} (TSIG malformed), in {place}",
        tsig=ON,
    )
    yield protocol(
        "a TSIG nobody asked for",
        Fault(transit=unasked),
        "no TSIG",
        "one",
        tsig=OFF,
    )


CASES: list[Case] = [*_tsig()]

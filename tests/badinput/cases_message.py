"""Messages that are cut, miscounted, or not the answer to what was asked."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.badinput.case import (
    ANSWERS,
    LATER,
    OFF,
    ON,
    Case,
    asking,
    changed,
    edit,
    miscounted,
    protocol,
    with_flags,
)
from tests.badinput.primary import (
    AXFR,
    OPT,
    ORIGIN,
    Draft,
    Fault,
    name,
    rr,
    soa,
)
from xfer.errors import Failure
from xfer.wire import names


def _authority_uncounted(draft: Draft) -> None:
    draft.authority.append(soa(1))
    draft.counts[2] = 0


def _opt_uncounted(draft: Draft) -> None:
    draft.additional.append(rr(b"\0", OPT, b"", rclass=1232, ttl=0))
    draft.counts[3] = 0


def _question_uncounted(draft: Draft) -> None:
    draft.questions = [ORIGIN + struct.pack("!HH", AXFR, 1)]
    draft.counts[0] = 0


def _counts() -> Iterator[Case]:
    yield protocol("QDCOUNT too high", miscounted(0, 1), "one question", "2", where=("first",))
    yield protocol(
        "QDCOUNT 1 without a question",
        miscounted(0, 1),
        "the question example.com. IN AXFR",
        ".example.com. IN A",
        where=LATER,
    )
    yield protocol("QDCOUNT 2", miscounted(0, 2), "one question or none", "2", where=LATER)
    yield protocol("QDCOUNT too low", miscounted(0, -1), "one question", "0", where=("first",))
    yield protocol(
        "QDCOUNT too low",
        edit(_question_uncounted),
        "a type that is data",
        "AXFR at octet 25",
        where=LATER,
    )
    for where, n in ANSWERS.items():
        yield protocol(
            "ANCOUNT too high",
            miscounted(1, 1),
            f"{n + 1} records",
            f"the end of the message after {n} at octet",
            where=(where,),
        )
    yield protocol(
        "ANCOUNT 65535",
        changed(counts={1: 65535}),
        "65535 records",
        "the end of the message after {n}",
    )
    yield protocol(
        "ANCOUNT too low",
        miscounted(1, -1),
        "the message to end with its last record",
        " octets more",
    )
    yield protocol(
        "ANCOUNT 0",
        changed(counts={1: 0}),
        "at least one record in the answer section",
        "an empty message",
    )
    yield protocol(
        "NSCOUNT too high", miscounted(2, 1), "no record in the authority section", "1 there"
    )
    yield protocol(
        "NSCOUNT too low",
        edit(_authority_uncounted),
        "the message to end with its last record",
        " octets more",
    )
    yield protocol(
        "a record in the authority section",
        edit(lambda draft: draft.authority.append(soa(1))),
        "no record in the authority section",
        "1 there",
    )
    yield protocol(
        "ARCOUNT too high", miscounted(3, 1), "a name", "the end of the message at octet", tsig=OFF
    )
    yield Case(
        "ARCOUNT too high",
        miscounted(3, 1),
        Failure.AUTH,
        "the TSIG as last record of the additional section",
        "one as record {n1} of {n2} (TSIG malformed), in {place}",
        tsig=ON,
    )
    yield protocol(
        "ARCOUNT too low",
        edit(_opt_uncounted),
        "the message to end with its last record",
        "11 octets more",
    )


def _cut(octets: int) -> Fault:
    return changed(cut=octets)


def _cut_behind_the_owner(draft: Draft) -> None:
    last = draft.answers[-1]
    draft.cut = len(last) - names.read(last, 0)[1] - 5


def _truncated() -> Iterator[Case]:
    yield protocol(
        "cut in the last rdata", _cut(2), "octets of ", "to the end of the message at octet"
    )
    yield protocol(
        "cut before the last rdata",
        edit(_cut_behind_the_owner),
        "a record's type, class, TTL and length",
        "the end of the message at octet",
    )
    yield protocol(
        "cut to the header",
        edit(lambda draft: setattr(draft, "cut", len(draft.wire()) - 12)),
        "{n} records",
        "the end of the message after 0 at octet 12",
        where=LATER,
    )
    yield protocol(
        "cut to the header",
        edit(lambda draft: setattr(draft, "cut", len(draft.wire()) - 12)),
        "the question example.com. IN AXFR",
        "an unreadable one",
        where=("first",),
    )
    yield protocol(
        "octets after the last record",
        changed(tail=b"\0\0\0"),
        "the message to end with its last record",
        "3 octets more",
    )
    yield protocol(
        "TC set", with_flags(0x8600), "a whole message (TC clear)", "a truncated one (TC set)"
    )


def _on_the_way() -> Iterator[Case]:
    """Truncation after signing: no TSIG can be found, so the message is what is wrong."""
    for octets in (1, 30, 60):
        yield Case(
            f"cut by {octets} on the way",
            Fault(transit=lambda wire, octets=octets: wire[:-octets]),  # type: ignore[misc]
            Failure.PROTOCOL,
            "",
            "in {place}",
        )
    yield Case(
        "cut to five octets",
        Fault(transit=lambda wire: wire[:5]),
        Failure.PROTOCOL,
        "a message of at least 12 octets",
        "5, in {place}",
    )
    yield Case(
        "an empty message",
        Fault(transit=lambda wire: b""),
        Failure.PROTOCOL,
        "a message of at least 12 octets",
        "0, in {place}",
    )
    yield Case(
        "octets added on the way",
        Fault(transit=lambda wire: wire + b"\0"),
        Failure.PROTOCOL,
        "",
        "in {place}",
    )


def _header_only(draft: Draft) -> None:
    draft.questions.clear()
    draft.answers.clear()


def _headers() -> Iterator[Case]:
    def other_id(draft: Draft) -> None:
        draft.msg_id ^= 0xFF

    def id_on_the_way(wire: bytes) -> bytes:
        return bytes([wire[0], wire[1] ^ 0xFF]) + wire[2:]

    yield protocol("another ID", edit(other_id), "message ID ", "ID ")
    yield protocol("another ID on the way", Fault(transit=id_on_the_way), "message ID ", "ID ")
    yield protocol("QR clear", with_flags(0x0400), "a response (QR set)", "a query (QR clear)")
    yield protocol("opcode NOTIFY", with_flags(0xA400), "opcode 0 (QUERY)", "opcode 4 (NOTIFY)")
    in_, axfr = b"\0\1", b"\0\xfc"
    asked = "the question example.com. IN AXFR"
    for title, question, got in (
        ("another name", name("other.example.") + axfr + in_, "other.example. IN AXFR"),
        ("another type", ORIGIN + b"\0\xfb" + in_, "example.com. IN IXFR"),
        ("another class", ORIGIN + axfr + b"\0\3", "example.com. CLASS3 AXFR"),
        ("a name below", name("www") + axfr + in_, "www.example.com. IN AXFR"),
        ("a label of 64", b"\x40" + b"a" * 64 + ORIGIN + axfr + in_, "an unreadable one"),
    ):
        yield protocol(f"question with {title}", asking(question), asked, got)

    rcodes = ((1, "FORMERR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (4, "NOTIMP"), (5, "REFUSED"))
    for rcode, text in (*rcodes, (9, "NOTAUTH")):

        def refused(draft: Draft, rcode: int = rcode) -> None:
            draft.flags |= rcode
            draft.answers.clear()

        yield Case(
            f"{text} first",
            edit(refused),
            Failure.DENIED,
            "rcode NOERROR in the first message",
            f"rcode {text}",
            where=("first",),
        )
        yield Case(
            f"{text} mid-stream",
            edit(refused),
            Failure.DENIED,
            "rcode NOERROR in {place}",
            f"rcode {text} after ",
            where=LATER,
        )

        def beside_records(draft: Draft, rcode: int = rcode) -> None:
            draft.flags |= rcode

        yield Case(
            f"{text} beside records",
            edit(beside_records),
            Failure.DENIED,
            "rcode NOERROR in {place}",
            f"rcode {text}",
        )

    def badvers(draft: Draft) -> None:
        draft.answers.clear()
        draft.additional.append(rr(b"\0", OPT, b"", rclass=1232, ttl=0x01000000))

    yield Case(
        "BADVERS",
        edit(badvers),
        Failure.DENIED,
        "rcode NOERROR in {place}",
        "rcode BADVERS",
    )
    yield protocol("a header alone", edit(_header_only), "one question", "0", where=("first",))
    yield protocol(
        "a header alone",
        edit(_header_only),
        "at least one record in the answer section",
        "an empty message",
        where=LATER,
    )
    yield protocol(
        "a question alone",
        edit(lambda draft: draft.answers.clear()),
        "at least one record in the answer section",
        "an empty message",
    )
    yield protocol(
        "an EXPIRE option of three octets",
        edit(
            lambda draft: draft.additional.append(
                rr(b"\0", OPT, b"\0\x09\0\3abc", rclass=1232, ttl=0)
            )
        ),
        "an EXPIRE option of 4 octets",
        "3",
    )
    yield protocol(
        "an EDNS option beyond its OPT",
        edit(
            lambda draft: draft.additional.append(
                rr(b"\0", OPT, b"\0\x09\0\x09abc", rclass=1232, ttl=0)
            )
        ),
        "an EDNS option of 9 octets",
        "3 octets",
    )
    yield protocol(
        "two OPTs",
        edit(lambda draft: draft.additional.extend(2 * [rr(b"\0", OPT, b"", rclass=1232, ttl=0)])),
        "one OPT",
        "a second one",
    )


CASES: list[Case] = [*_counts(), *_truncated(), *_on_the_way(), *_headers()]

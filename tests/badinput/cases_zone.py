"""Well-formed messages that are no transfer (RFC 5936 §2.2), or no zone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.badinput.case import (
    ADDRESS,
    HOST,
    Case,
    edit,
    protocol,
    put,
)
from tests.badinput.primary import (
    CNAME,
    NS,
    ORIGIN,
    SOA,
    A,
    Draft,
    Fault,
    host,
    name,
    rr,
    soa,
)
from xfer.errors import Failure
from xfer.zone.check import Grade, Policy


def _order() -> Iterator[Case]:
    """SOA first, SOA last, nothing after it."""
    first = "the SOA of example.com. as the first record"

    def without_first(draft: Draft) -> None:
        draft.answers.pop(0)

    def other_first(record: bytes) -> Fault:
        return edit(lambda draft: draft.answers.insert(0, record))

    yield protocol(
        "first record is NS", edit(without_first), first, "example.com. NS", where=("first",)
    )
    yield protocol(
        "first record is an SOA below",
        other_first(rr(name("sub"), SOA, name("a") + name("b") + bytes(20))),
        first,
        "sub.example.com. SOA",
        where=("first",),
    )
    yield protocol(
        "first record is another zone's SOA",
        other_first(rr(name("example.net."), SOA, b"\0\0" + bytes(20))),
        first,
        "example.net. SOA",
        where=("first",),
    )

    def closing(record: bytes) -> Fault:
        return edit(lambda draft: draft.answers.__setitem__(-1, record))

    def missing(draft: Draft) -> None:
        draft.answers.pop()

    yield Case(
        "no closing SOA",
        edit(missing),
        Failure.TRANSPORT,
        "the transfer to go on to its closing SOA",
        "closed after 5 messages with 15 records",
        where=("last",),
    )
    equal = "the closing SOA to equal the opening one (serial 2, ns1.example.com., TTL 3600"
    for title, record, got in (
        ("a higher serial", soa(3), "another SOA (serial 3"),
        ("a lower serial", soa(1), "another SOA (serial 1"),
        ("another MNAME", soa(2, mname="ns9"), "another SOA (serial 2, ns9.example.com."),
        ("another REFRESH", soa(2, refresh=7), "timers 7/600/604800/300"),
        ("another TTL", soa(2, ttl=60), "another SOA (serial 2, ns1.example.com., TTL 60,"),
    ):
        yield protocol(f"closing SOA with {title}", closing(record), equal, got, where=("last",))
    yield protocol("two different SOAs", put(soa(3)), equal, "another SOA (serial 3")
    yield protocol(
        "a second closing SOA",
        edit(lambda draft: draft.answers.append(soa(2))),
        "the closing SOA to be the last record",
        "1 more after it",
        where=("last",),
    )
    yield protocol(
        "a record after the closing SOA",
        edit(lambda draft: draft.answers.append(rr(HOST, A, ADDRESS))),
        "the closing SOA to be the last record",
        "1 more after it",
        where=("last",),
    )
    yield protocol(
        "two records after the closing SOA, one out of zone",
        edit(
            lambda draft: draft.answers.extend(
                [rr(HOST, A, ADDRESS), rr(name("other.example."), A, ADDRESS)]
            )
        ),
        "the closing SOA to be the last record",
        "2 more after it",
        where=("last",),
    )
    yield protocol(
        "the closing SOA amid records",
        put(soa(2)),
        "the closing SOA to be the last record",
        "more after it",
    )

    def early(draft: Draft) -> None:
        draft.answers.append(soa(2))

    yield Case(
        "messages after the closing SOA",
        edit(early),
        Failure.PROTOCOL,
        "nothing after the message with the closing SOA",
        "one more message of ",
        where=("first", "middle"),
    )
    yield Case(
        "a message after the last",
        Fault(whole=lambda drafts: drafts.append(Draft(drafts[0].msg_id, answers=[host(0)]))),
        Failure.PROTOCOL,
        "nothing after the message with the closing SOA",
        "one more message of ",
        where=("last",),
    )
    for octets, got in ((b"\0", "1 octet more"), (b"\0\0", "one more message of 0 octets"),
                        (b"\0\x09abc", "5 octets more")):  # fmt: skip

        def and_more(frames: list[bytes], octets: bytes = octets) -> Iterable[bytes]:
            return [b"".join(frames) + octets]

        yield Case(
            f"{len(octets)} octets after the last message",
            Fault(stream=and_more),
            Failure.PROTOCOL,
            "nothing after the message with the closing SOA",
            got,
            where=("last",),
        )


def _content() -> Iterator[Case]:
    outside = put(rr(name("www.example.net."), A, ADDRESS))
    yield Case(
        "a record out of zone, rejected",
        outside,
        Failure.CONTENT,
        "only owner names at or below the apex",
        "www.example.net. A, which is not at or below example.com. (out-of-zone)",
        policy=Policy({"out-of-zone": Grade.REJECT}),
    )
    yield Case(
        "a record of the parent, rejected",
        put(rr(name("com."), NS, b"\0")),
        Failure.CONTENT,
        "only owner names at or below the apex",
        "com. NS, which is not at or below example.com. (out-of-zone)",
        policy=Policy({"out-of-zone": Grade.REJECT}),
    )

    def cname_and_a(draft: Draft) -> None:
        draft.put(rr(HOST, CNAME, name("ns1")))
        draft.put(rr(HOST, A, ADDRESS))

    yield Case(
        "CNAME beside an address",
        edit(cname_and_a),
        Failure.CONTENT,
        "no other data beside a CNAME",
        "bad.example.com. CNAME, which stands beside 1 other record(s) (cname-and-other)",
    )
    yield Case(
        "CNAME at the apex",
        put(rr(ORIGIN, CNAME, name("ns1"))),
        Failure.CONTENT,
        "no other data beside a CNAME",
        "example.com. CNAME, which stands beside 2 other record(s) (cname-and-other)",
    )

    def two_cnames(draft: Draft) -> None:
        draft.put(rr(HOST, CNAME, name("ns1")))
        draft.put(rr(HOST, CNAME, name("ns2")))

    yield Case(
        "two CNAMEs",
        edit(two_cnames),
        Failure.CONTENT,
        "one CNAME at an owner name",
        "bad.example.com. CNAME, which stands 2 times (several-cnames)",
    )

    def without_ns(drafts: list[Draft]) -> None:
        drafts[0].answers.pop(1)

    yield Case(
        "no NS at the apex",
        Fault(whole=without_ns),
        Failure.CONTENT,
        "NS records at the apex",
        "example.com. NS, which is missing (apex-ns)",
        where=("first",),
    )


CASES: list[Case] = [*_order(), *_content()]

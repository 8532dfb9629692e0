"""The table of bad input: what is wrong, where it may stand, and what has to be said about it.

`expected` and `got` are parts of the two halves of the sentence; in both, {place} becomes "the
first message" or "message 3", and {n} the number of answer records in that message; " … " stands
for anything. A case without
`tsig` is tried both signed and unsigned; signed, the fault is in the message before it is signed,
so a TSIG error would be the wrong thing to report.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

import attrs

from tests.badinput.primary import (
    AXFR,
    CNAME,
    KEY,
    MX,
    NOW,
    NS,
    NSEC,
    OPT,
    ORIGIN,
    OTHER_ALGORITHM,
    OTHER_NAME,
    OTHER_SECRET,
    RRSIG,
    SOA,
    TXT,
    A,
    Draft,
    Edit,
    Fault,
    host,
    name,
    pointer,
    rr,
    soa,
)
from xfer.errors import Failure
from xfer.wire import names, tsig_record
from xfer.wire.tsig import Key
from xfer.zone.check import Grade, Policy

POSITIONS = {"first": 0, "middle": 2, "last": 4}
PLACES = {"first": "the first message", "middle": "message 3", "last": "message 5"}
ANSWERS = {"first": 3, "middle": 3, "last": 4}
ALL = ("first", "middle", "last")
LATER = ("middle", "last")
BOTH = (False, True)
OFF, ON = (False,), (True,)

HOST = name("bad")
ADDRESS = b"\x0a\x00\x00\xff"
LONG_LABEL = b"\x3f" + b"a" * 63
NAME_255 = 3 * LONG_LABEL + b"\x31" + b"b" * 49 + ORIGIN  # 192 + 50 + 13
NAME_256 = 3 * LONG_LABEL + b"\x32" + b"b" * 50 + ORIGIN
assert len(NAME_255) == 255


@attrs.frozen
class Case:
    """One line of the table.

    unsigned_messages: what the secondary allows in a row; placed: the sentence has to end with the
    message in which the fault stands.
    """

    title: str
    fault: Fault
    failure: Failure
    expected: str
    got: str
    where: tuple[str, ...] = ALL
    tsig: tuple[bool, ...] = BOTH
    policy: Policy = attrs.Factory(Policy)
    unsigned_messages: int = 99
    placed: bool = False


def edit(change: Edit) -> Fault:
    return Fault(edit=change)


def put(record: bytes) -> Fault:
    return Fault(edit=lambda draft: draft.put(record))


def put_at(make: Callable[[int], bytes]) -> Fault:
    return Fault(edit=lambda draft: draft.put_at(make))


def _set(**values: object) -> Fault:
    def change(draft: Draft) -> None:
        for key, value in values.items():
            setattr(draft, key, value)

    return Fault(edit=change)


def _count(section: int, by: int) -> Fault:
    def change(draft: Draft) -> None:
        draft.counts[section] = len(draft.sections()[section]) + by

    return Fault(edit=change)


def _question(question: bytes) -> Fault:
    return _set(questions=[question])


def _flags(flags: int) -> Fault:
    return _set(flags=flags)


def _header_only(draft: Draft) -> None:
    draft.questions.clear()
    draft.answers.clear()


def _protocol(title: str, fault: Fault, expected: str, got: str, **more: object) -> Case:
    return attrs.evolve(
        Case(title, fault, Failure.PROTOCOL, expected, got, placed=True),
        **more,  # type: ignore[arg-type]
    )


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
    yield _protocol("QDCOUNT too high", _count(0, 1), "one question", "2", where=("first",))
    yield _protocol(
        "QDCOUNT 1 without a question",
        _count(0, 1),
        "the question example.com. IN AXFR",
        ".example.com. IN A",
        where=LATER,
    )
    yield _protocol("QDCOUNT 2", _count(0, 2), "one question or none", "2", where=LATER)
    yield _protocol("QDCOUNT too low", _count(0, -1), "one question", "0", where=("first",))
    yield _protocol(
        "QDCOUNT too low",
        edit(_question_uncounted),
        "a type that is data",
        "AXFR at octet 25",
        where=LATER,
    )
    for where, n in ANSWERS.items():
        yield _protocol(
            "ANCOUNT too high",
            _count(1, 1),
            f"{n + 1} records",
            f"the end of the message after {n} at octet",
            where=(where,),
        )
    yield _protocol(
        "ANCOUNT 65535",
        _set(counts={1: 65535}),
        "65535 records",
        "the end of the message after {n}",
    )
    yield _protocol(
        "ANCOUNT too low", _count(1, -1), "the message to end with its last record", " octets more"
    )
    yield _protocol(
        "ANCOUNT 0",
        _set(counts={1: 0}),
        "at least one record in the answer section",
        "an empty message",
    )
    yield _protocol(
        "NSCOUNT too high", _count(2, 1), "no record in the authority section", "1 there"
    )
    yield _protocol(
        "NSCOUNT too low",
        edit(_authority_uncounted),
        "the message to end with its last record",
        " octets more",
    )
    yield _protocol(
        "a record in the authority section",
        edit(lambda draft: draft.authority.append(soa(1))),
        "no record in the authority section",
        "1 there",
    )
    yield _protocol(
        "ARCOUNT too high", _count(3, 1), "a name", "the end of the message at octet", tsig=OFF
    )
    yield Case(
        "ARCOUNT too high",
        _count(3, 1),
        Failure.AUTH,
        "the TSIG as last record of the additional section",
        "one as record {n1} of {n2} (TSIG malformed), in {place}",
        tsig=ON,
    )
    yield _protocol(
        "ARCOUNT too low",
        edit(_opt_uncounted),
        "the message to end with its last record",
        "11 octets more",
    )


def _cut(octets: int) -> Fault:
    return _set(cut=octets)


def _cut_behind_the_owner(draft: Draft) -> None:
    last = draft.answers[-1]
    draft.cut = len(last) - names.read(last, 0)[1] - 5


def _truncated() -> Iterator[Case]:
    yield _protocol(
        "cut in the last rdata", _cut(2), "octets of ", "to the end of the message at octet"
    )
    yield _protocol(
        "cut before the last rdata",
        edit(_cut_behind_the_owner),
        "a record's type, class, TTL and length",
        "the end of the message at octet",
    )
    yield _protocol(
        "cut to the header",
        edit(lambda draft: setattr(draft, "cut", len(draft.wire()) - 12)),
        "{n} records",
        "the end of the message after 0 at octet 12",
        where=LATER,
    )
    yield _protocol(
        "cut to the header",
        edit(lambda draft: setattr(draft, "cut", len(draft.wire()) - 12)),
        "the question example.com. IN AXFR",
        "an unreadable one",
        where=("first",),
    )
    yield _protocol(
        "octets after the last record",
        _set(tail=b"\0\0\0"),
        "the message to end with its last record",
        "3 octets more",
    )
    yield _protocol(
        "TC set", _flags(0x8600), "a whole message (TC clear)", "a truncated one (TC set)"
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


def _names() -> Iterator[Case]:
    def owner(make: Callable[[int], bytes]) -> Fault:
        return put_at(lambda at: rr(make(at), A, ADDRESS))

    def target(make: Callable[[int], bytes], rtype: int = NS, before: bytes = b"") -> Fault:
        """A name in rdata; `make` gets the offset of the name."""
        size = len(HOST) + 10 + len(before)
        return put_at(lambda at: rr(HOST, rtype, before + make(at + size)))

    earlier = "a compression pointer to an earlier name"
    yield _protocol("owner points to itself", owner(pointer), earlier, "one to ")
    yield _protocol(
        "owner loops through its label", owner(lambda at: b"\1a" + pointer(at)), earlier, "one to "
    )
    yield _protocol("owner points forward", owner(lambda at: pointer(at + 20)), earlier, "one to ")
    yield _protocol(
        "owner points behind the message", owner(lambda at: pointer(16383)), earlier, "one to 16383"
    )
    yield _protocol("rdata points to itself", target(pointer), earlier, "one to ")
    yield _protocol("rdata points forward", target(lambda at: pointer(at + 2)), earlier, "one to ")
    yield _protocol(
        "rdata loops through its label", target(lambda at: b"\1a" + pointer(at)), earlier, "one to "
    )
    yield _protocol("MX loops", target(pointer, MX, b"\0\x0a"), earlier, "one to ")
    yield _protocol(
        "SOA's second name loops",
        put_at(lambda at: rr(HOST, SOA, b"\0" + pointer(at + len(HOST) + 11) + bytes(20))),
        earlier,
        "one to ",
    )
    yield _protocol("RRSIG's signer loops", target(pointer, RRSIG, bytes(18)), earlier, "one to ")

    label = "a label of at most 63 octets"
    for octet in (0x40, 0x80, 0xBF):
        text = f"length octet {octet:#04x} at octet"
        long = bytes([octet]) + b"a" * octet + ORIGIN
        yield _protocol(f"owner with label of {octet}", owner(lambda _, w=long: w), label, text)  # type: ignore[misc]
        yield _protocol(f"rdata with label of {octet}", target(lambda _, w=long: w), label, text)  # type: ignore[misc]

    short = "a name of at most 255 octets"
    yield _protocol(
        "owner of 256 octets", owner(lambda _: NAME_256), short, "a longer one at octet"
    )
    yield _protocol("rdata name of 256 octets", target(lambda _: NAME_256), short, "a longer one")
    yield _protocol(
        "NSEC's next name of 256 octets",
        target(lambda _: NAME_256 + b"\0\1\x40", NSEC),
        short,
        "a longer one",
    )

    def by_pointer(draft: Draft) -> None:
        at = draft.offset(1)
        draft.put(rr(NAME_255, A, ADDRESS))
        draft.answers.insert(2, rr(b"\1x" + pointer(at), A, ADDRESS))

    def by_pointer_in_rdata(draft: Draft) -> None:
        at = draft.offset(1)
        draft.put(rr(NAME_255, A, ADDRESS))
        draft.answers.insert(2, rr(HOST, NS, b"\1x" + pointer(at)))

    yield _protocol("owner over 255 by a pointer", edit(by_pointer), short, "a longer one")
    yield _protocol("rdata over 255 by a pointer", edit(by_pointer_in_rdata), short, "a longer one")


def _rdata() -> Iterator[Case]:
    def last(record: bytes) -> Fault:
        return edit(lambda draft: draft.answers.append(record))

    yield _protocol(
        "rdata beyond the message",
        last(rr(HOST, A, ADDRESS, size=400)),
        "400 octets of A rdata",
        "4 to the end of the message at octet",
    )
    yield _protocol(
        "A of five octets",
        put(rr(HOST, A, bytes(5))),
        "4 octets of A rdata",
        "5 octets at octet … (record 2, bad.example.com. A)",
    )
    yield _protocol(
        "A of three octets",
        put(rr(HOST, A, bytes(3))),
        "4 octets of A rdata",
        "3 octets at octet … (record 2, bad.example.com. A)",
    )
    yield _protocol(
        "NS name beyond its rdata",
        put(rr(HOST, NS, name("ns1"), size=6)),
        "NS rdata of 6 octets",
        "a name beyond its end at octet",
    )
    yield _protocol(
        "octets after the NS name",
        put(rr(HOST, NS, name("ns1") + b"\0\0")),
        "0 octets of NS rdata after its names",
        "2 at octet",
    )
    yield _protocol(
        "MX without a name", put(rr(HOST, MX, b"\0\x0a")), "MX rdata with a name", "2 octets"
    )
    yield _protocol(
        "TXT string beyond its rdata",
        put(rr(HOST, TXT, b"\x09abc")),
        "TXT rdata of whole character-strings",
        "1 strings that need 10 octets in 4 octets at octet ",
    )
    yield _protocol(
        "empty TXT", put(rr(HOST, TXT, b"")), "TXT rdata of whole character-strings", "0 strings"
    )
    yield _protocol(
        "SOA without MINIMUM",
        put(rr(HOST, SOA, name("a") + name("b") + bytes(16))),
        "20 octets of SOA rdata after its names",
        "16 at octet",
    )
    yield _protocol(
        "NSEC bitmap beyond its rdata",
        put(rr(HOST, NSEC, name("z") + b"\0\x09\x40")),
        "a type bitmap of whole, rising windows",
        "a cut one",
    )
    yield _protocol(
        "NSEC bitmap with an empty window",
        put(rr(HOST, NSEC, name("z") + b"\0\0")),
        "a type bitmap of whole, rising windows",
        "something else",
    )
    yield _protocol(
        "NSEC3 salt beyond its rdata",
        put(rr(HOST, 50, b"\1\0\0\0\xff" + bytes(9))),
        "NSEC3 rdata with its salt",
        "14 octets",
    )
    yield _protocol(
        "RRSIG without a signature",
        put(rr(HOST, RRSIG, bytes(18) + ORIGIN)),
        "RRSIG rdata with a signature",
        "none",
    )
    yield _protocol(
        "CAA tag beyond its rdata",
        put(rr(HOST, 257, b"\0\x20abc")),
        "CAA rdata with a tag",
        "tag length 32 in 5 octets",
    )
    yield _protocol("empty rdata of an A", put(rr(HOST, A, b"")), "4 octets of A rdata", "0 octets")


def _headers() -> Iterator[Case]:
    def other_id(draft: Draft) -> None:
        draft.msg_id ^= 0xFF

    def id_on_the_way(wire: bytes) -> bytes:
        return bytes([wire[0], wire[1] ^ 0xFF]) + wire[2:]

    yield _protocol("another ID", edit(other_id), "message ID ", "ID ")
    yield _protocol("another ID on the way", Fault(transit=id_on_the_way), "message ID ", "ID ")
    yield _protocol("QR clear", _flags(0x0400), "a response (QR set)", "a query (QR clear)")
    yield _protocol("opcode NOTIFY", _flags(0xA400), "opcode 0 (QUERY)", "opcode 4 (NOTIFY)")
    in_, axfr = b"\0\1", b"\0\xfc"
    asked = "the question example.com. IN AXFR"
    for title, question, got in (
        ("another name", name("other.example.") + axfr + in_, "other.example. IN AXFR"),
        ("another type", ORIGIN + b"\0\xfb" + in_, "example.com. IN IXFR"),
        ("another class", ORIGIN + axfr + b"\0\3", "example.com. CLASS3 AXFR"),
        ("a name below", name("www") + axfr + in_, "www.example.com. IN AXFR"),
        ("a label of 64", b"\x40" + b"a" * 64 + ORIGIN + axfr + in_, "an unreadable one"),
    ):
        yield _protocol(f"question with {title}", _question(question), asked, got)

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
    yield _protocol("a header alone", edit(_header_only), "one question", "0", where=("first",))
    yield _protocol(
        "a header alone",
        edit(_header_only),
        "at least one record in the answer section",
        "an empty message",
        where=LATER,
    )
    yield _protocol(
        "a question alone",
        edit(lambda draft: draft.answers.clear()),
        "at least one record in the answer section",
        "an empty message",
    )
    yield _protocol(
        "an EXPIRE option of three octets",
        edit(
            lambda draft: draft.additional.append(
                rr(b"\0", OPT, b"\0\x09\0\3abc", rclass=1232, ttl=0)
            )
        ),
        "an EXPIRE option of 4 octets",
        "3",
    )
    yield _protocol(
        "an EDNS option beyond its OPT",
        edit(
            lambda draft: draft.additional.append(
                rr(b"\0", OPT, b"\0\x09\0\x09abc", rclass=1232, ttl=0)
            )
        ),
        "an EDNS option of 9 octets",
        "3 octets",
    )
    yield _protocol(
        "two OPTs",
        edit(lambda draft: draft.additional.extend(2 * [rr(b"\0", OPT, b"", rclass=1232, ttl=0)])),
        "one OPT",
        "a second one",
    )


def _order() -> Iterator[Case]:
    """SOA first, SOA last, nothing after it."""
    first = "the SOA of example.com. as the first record"

    def without_first(draft: Draft) -> None:
        draft.answers.pop(0)

    def other_first(record: bytes) -> Fault:
        return edit(lambda draft: draft.answers.insert(0, record))

    yield _protocol(
        "first record is NS", edit(without_first), first, "example.com. NS", where=("first",)
    )
    yield _protocol(
        "first record is an SOA below",
        other_first(rr(name("sub"), SOA, name("a") + name("b") + bytes(20))),
        first,
        "sub.example.com. SOA",
        where=("first",),
    )
    yield _protocol(
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
        yield _protocol(f"closing SOA with {title}", closing(record), equal, got, where=("last",))
    yield _protocol("two different SOAs", put(soa(3)), equal, "another SOA (serial 3")
    yield _protocol(
        "a second closing SOA",
        edit(lambda draft: draft.answers.append(soa(2))),
        "the closing SOA to be the last record",
        "1 more after it",
        where=("last",),
    )
    yield _protocol(
        "a record after the closing SOA",
        edit(lambda draft: draft.answers.append(rr(HOST, A, ADDRESS))),
        "the closing SOA to be the last record",
        "1 more after it",
        where=("last",),
    )
    yield _protocol(
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
    yield _protocol(
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


def _types() -> Iterator[Case]:
    for rclass, text in ((3, "class 3"), (4, "class 4"), (255, "class 255"), (254, "class 254")):
        yield _protocol(
            f"a record of {text}",
            put(rr(HOST, A, ADDRESS, rclass=rclass)),
            "a record of class IN",
            f"{text} at octet … (record 2, bad.example.com. A)",
        )
    for rtype, text in (
        (0, "TYPE0"), (OPT, "OPT"), (128, "NXNAME"), (200, "TYPE200"), (249, "TKEY"),
        (250, "TSIG"), (251, "IXFR"), (252, "AXFR"), (253, "MAILB"), (255, "ANY"),
    ):  # fmt: skip
        yield _protocol(
            f"{text} among the answers",
            put(rr(HOST, rtype, ADDRESS)),
            "a type that is data",
            f"{text} at octet … (record 2, bad.example.com. {text})",
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
    yield _protocol(
        "a TSIG nobody asked for",
        Fault(transit=unasked),
        "no TSIG",
        "one",
        tsig=OFF,
    )


CASES: list[Case] = [
    case
    for group in (
        _counts, _truncated, _on_the_way, _names, _rdata, _headers, _order, _types, _content, _tsig,
    )
    for case in group()
]  # fmt: skip

"""Records with impossible names, rdata, classes and types."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.badinput.case import (
    ADDRESS,
    HOST,
    NAME_255,
    NAME_256,
    Case,
    edit,
    protocol,
    put,
    put_at,
)
from tests.badinput.primary import (
    MX,
    NS,
    NSEC,
    OPT,
    ORIGIN,
    RRSIG,
    SOA,
    TXT,
    A,
    Draft,
    Fault,
    name,
    pointer,
    rr,
)


def _names() -> Iterator[Case]:
    def owner(make: Callable[[int], bytes]) -> Fault:
        return put_at(lambda at: rr(make(at), A, ADDRESS))

    def target(make: Callable[[int], bytes], rtype: int = NS, before: bytes = b"") -> Fault:
        """A name in rdata; `make` gets the offset of the name."""
        size = len(HOST) + 10 + len(before)
        return put_at(lambda at: rr(HOST, rtype, before + make(at + size)))

    earlier = "a compression pointer to an earlier name"
    yield protocol("owner points to itself", owner(pointer), earlier, "one to ")
    yield protocol(
        "owner loops through its label", owner(lambda at: b"\1a" + pointer(at)), earlier, "one to "
    )
    yield protocol("owner points forward", owner(lambda at: pointer(at + 20)), earlier, "one to ")
    yield protocol(
        "owner points behind the message", owner(lambda at: pointer(16383)), earlier, "one to 16383"
    )
    yield protocol("rdata points to itself", target(pointer), earlier, "one to ")
    yield protocol("rdata points forward", target(lambda at: pointer(at + 2)), earlier, "one to ")
    yield protocol(
        "rdata loops through its label", target(lambda at: b"\1a" + pointer(at)), earlier, "one to "
    )
    yield protocol("MX loops", target(pointer, MX, b"\0\x0a"), earlier, "one to ")
    yield protocol(
        "SOA's second name loops",
        put_at(lambda at: rr(HOST, SOA, b"\0" + pointer(at + len(HOST) + 11) + bytes(20))),
        earlier,
        "one to ",
    )
    yield protocol("RRSIG's signer loops", target(pointer, RRSIG, bytes(18)), earlier, "one to ")

    label = "a label of at most 63 octets"
    for octet in (0x40, 0x80, 0xBF):
        text = f"length octet {octet:#04x} at octet"
        long = bytes([octet]) + b"a" * octet + ORIGIN
        yield protocol(f"owner with label of {octet}", owner(lambda _, w=long: w), label, text)  # type: ignore[misc]
        yield protocol(f"rdata with label of {octet}", target(lambda _, w=long: w), label, text)  # type: ignore[misc]

    short = "a name of at most 255 octets"
    yield protocol("owner of 256 octets", owner(lambda _: NAME_256), short, "a longer one at octet")
    yield protocol("rdata name of 256 octets", target(lambda _: NAME_256), short, "a longer one")
    yield protocol(
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

    yield protocol("owner over 255 by a pointer", edit(by_pointer), short, "a longer one")
    yield protocol("rdata over 255 by a pointer", edit(by_pointer_in_rdata), short, "a longer one")


def _rdata() -> Iterator[Case]:
    def last(record: bytes) -> Fault:
        return edit(lambda draft: draft.answers.append(record))

    yield protocol(
        "rdata beyond the message",
        last(rr(HOST, A, ADDRESS, size=400)),
        "400 octets of A rdata",
        "4 to the end of the message at octet",
    )
    yield protocol(
        "A of five octets",
        put(rr(HOST, A, bytes(5))),
        "4 octets of A rdata",
        "5 octets at octet … (record 2, bad.example.com. A)",
    )
    yield protocol(
        "A of three octets",
        put(rr(HOST, A, bytes(3))),
        "4 octets of A rdata",
        "3 octets at octet … (record 2, bad.example.com. A)",
    )
    yield protocol(
        "NS name beyond its rdata",
        put(rr(HOST, NS, name("ns1"), size=6)),
        "NS rdata of 6 octets",
        "a name beyond its end at octet",
    )
    yield protocol(
        "octets after the NS name",
        put(rr(HOST, NS, name("ns1") + b"\0\0")),
        "0 octets of NS rdata after its names",
        "2 at octet",
    )
    yield protocol(
        "MX without a name", put(rr(HOST, MX, b"\0\x0a")), "MX rdata with a name", "2 octets"
    )
    yield protocol(
        "TXT string beyond its rdata",
        put(rr(HOST, TXT, b"\x09abc")),
        "TXT rdata of whole character-strings",
        "1 strings that need 10 octets in 4 octets at octet ",
    )
    yield protocol(
        "empty TXT", put(rr(HOST, TXT, b"")), "TXT rdata of whole character-strings", "0 strings"
    )
    yield protocol(
        "SOA without MINIMUM",
        put(rr(HOST, SOA, name("a") + name("b") + bytes(16))),
        "20 octets of SOA rdata after its names",
        "16 at octet",
    )
    yield protocol(
        "NSEC bitmap beyond its rdata",
        put(rr(HOST, NSEC, name("z") + b"\0\x09\x40")),
        "a type bitmap of whole, rising windows",
        "a cut one",
    )
    yield protocol(
        "NSEC bitmap with an empty window",
        put(rr(HOST, NSEC, name("z") + b"\0\0")),
        "a type bitmap of whole, rising windows",
        "something else",
    )
    yield protocol(
        "NSEC3 salt beyond its rdata",
        put(rr(HOST, 50, b"\1\0\0\0\xff" + bytes(9))),
        "NSEC3 rdata with its salt",
        "14 octets",
    )
    yield protocol(
        "RRSIG without a signature",
        put(rr(HOST, RRSIG, bytes(18) + ORIGIN)),
        "RRSIG rdata with a signature",
        "none",
    )
    yield protocol(
        "CAA tag beyond its rdata",
        put(rr(HOST, 257, b"\0\x20abc")),
        "CAA rdata with a tag",
        "tag length 32 in 5 octets",
    )
    yield protocol("empty rdata of an A", put(rr(HOST, A, b"")), "4 octets of A rdata", "0 octets")


def _types() -> Iterator[Case]:
    for rclass, text in ((3, "class 3"), (4, "class 4"), (255, "class 255"), (254, "class 254")):
        yield protocol(
            f"a record of {text}",
            put(rr(HOST, A, ADDRESS, rclass=rclass)),
            "a record of class IN",
            f"{text} at octet … (record 2, bad.example.com. A)",
        )
    for rtype, text in (
        (0, "TYPE0"), (OPT, "OPT"), (128, "NXNAME"), (200, "TYPE200"), (249, "TKEY"),
        (250, "TSIG"), (251, "IXFR"), (252, "AXFR"), (253, "MAILB"), (255, "ANY"),
    ):  # fmt: skip
        yield protocol(
            f"{text} among the answers",
            put(rr(HOST, rtype, ADDRESS)),
            "a type that is data",
            f"{text} at octet … (record 2, bad.example.com. {text})",
        )


CASES: list[Case] = [*_names(), *_rdata(), *_types()]

"""Random edits to a small zone, as lines for nsupdate, each of which changes something.

The zone has hosts with several addresses, texts, mail, services, delegations with glue, aliases,
a wildcard; an edit holds one to five operations, among them a whole name that goes, a TTL that
changes, and the apex.
"""

from __future__ import annotations

import random

ZONE = "edits.test."
SERIAL = 1000
TEXT = f"""$ORIGIN {ZONE}
$TTL 300
@ SOA ns1 hostmaster {SERIAL} 3600 600 86400 60
@ NS ns1
@ NS ns2
ns1 A 192.0.2.1
ns2 A 192.0.2.2
*.wild TXT "any"
""" + "".join(
    f"host{i} A 192.0.2.{i % 250}\nhost{i} AAAA 2001:db8::{i:x}\nhost{i} MX 10 host{i}\n"
    for i in range(100)
)


class Editor:
    """Draws edits; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._there: dict[tuple[str, str], set[str]] = {}
        self._count = 0

    def edit(self) -> list[str]:
        """One update's lines; names absolute."""
        # A text of its own in each edit: no edit may come out empty.
        self._count += 1
        mark = f"mark.{ZONE}"
        lines = [f"del {mark} TXT", f'add {mark} 60 TXT "edit {self._count}"']
        for _ in range(self._draw.randrange(5)):
            lines += self._operation()
        return lines

    def _operation(self) -> list[str]:
        number = self._draw.randrange(10)
        if number < 5 or not self._there:
            return self._add()
        if number == 5:
            return self._alias()
        owner, rtype = self._draw.choice(sorted(self._there))
        if number == 6:
            return self._delete_record(owner, rtype)
        if number == 7:
            del self._there[owner, rtype]
            return [f"del {owner} {rtype}"]
        if number == 8:
            return self._delete_name(owner)
        ttl = self._draw.choice([30, 60, 600, 7200])
        return [
            f"del {owner} {rtype}",
            *(f"add {owner} {ttl} {rtype} {rdata}" for rdata in sorted(self._there[owner, rtype])),
        ]

    def _add(self) -> list[str]:
        draw = self._draw
        number = draw.randrange(200)
        host = f"host{draw.randrange(100)}.{ZONE}"
        owner, rtype, rdata = draw.choice(
            [
                (f"new{number}.{ZONE}", "A", f"198.51.100.{draw.randrange(256)}"),
                (f"new{number}.{ZONE}", "AAAA", f"2001:db8::{draw.randrange(1 << 16):x}"),
                (f"host{number % 100}.{ZONE}", "A", f"198.51.100.{draw.randrange(256)}"),
                (f"New{number}.{ZONE}", "TXT", f'"text {draw.randrange(1 << 30)}"'),
                (f"deep.er.new{number}.{ZONE}", "TXT", f'"{"x" * draw.randrange(1, 250)}"'),
                (ZONE, "MX", f"{draw.randrange(100)} {host}"),
                (f"_sip._tcp.new{number}.{ZONE}", "SRV", f"0 {number} 5060 {host}"),
                (f"sub{number}.{ZONE}", "NS", f"ns{draw.randrange(4)}.sub{number}.{ZONE}"),
                (f"ns{draw.randrange(4)}.sub{number}.{ZONE}", "A", f"203.0.113.{number}"),
                (f"*.new{number}.{ZONE}", "A", "203.0.113.255"),
            ]
        )
        self._there.setdefault((owner.lower(), rtype), set()).add(rdata)
        return [f"add {owner} 300 {rtype} {rdata}"]

    def _alias(self) -> list[str]:
        owner = f"alias{self._draw.randrange(20)}.{ZONE}"
        target = f"host{self._draw.randrange(100)}.{ZONE}"
        return [f"del {owner} CNAME", f"add {owner} 300 CNAME {target}"]

    def _delete_record(self, owner: str, rtype: str) -> list[str]:
        known = self._there[owner, rtype]
        rdata = self._draw.choice(sorted(known))
        known.discard(rdata)
        if not known:
            del self._there[owner, rtype]
        return [f"del {owner} {rtype} {rdata}"]

    def _delete_name(self, owner: str) -> list[str]:
        if owner == ZONE:
            return []
        for known in [key for key in self._there if key[0] == owner]:
            del self._there[known]
        return [f"del {owner}"]

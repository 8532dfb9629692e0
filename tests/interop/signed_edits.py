"""Random edits to an unsigned zone, of all that a signer of it has to get right.

Names come, change and go, with their ENTs; delegations with and without DS, some over names that
have records; wildcards; DNAMEs and aliases; the apex and its SOA; TTLs.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import dns.name
import dns.rdatatype

from tests.interop.signed_content import MARK, Content

SERIAL = 1000
_FIXED = (MARK.encode(), b"target", b"ns1", b"ns2", b"ns3")


def zone_text(zone: str) -> str:
    """What the zone begins with."""
    return f"""$ORIGIN {zone}
$TTL 300
@ SOA ns1 hostmaster {SERIAL} 3600 600 86400 60
@ NS ns1
@ NS ns2
ns1 A 192.0.2.1
ns2 A 192.0.2.2
{MARK} TXT "edit 0"
a.target TXT "behind a DNAME"
*.wild TXT "any"
below.*.wild TXT "below a wildcard"
secure NS ns.secure
secure DS 1 13 2 {"ab" * 32}
ns.secure A 203.0.113.1
insecure NS ns.insecure
ns.insecure A 203.0.113.2
alias CNAME host1
only.by.delegation NS ns1
dname DNAME target
""" + "".join(
        f"host{i} A 192.0.2.{i % 250}\nhost{i} AAAA 2001:db8::{i:x}\nhost{i} MX 10 host{i}\n"
        for i in range(25)
    )


class Editor:
    """Draws edits; the same seed draws the same ones of the same content."""

    def __init__(self, zone: str, seed: int) -> None:
        self._zone = zone
        self._draw = random.Random(seed)
        self._serial = SERIAL
        self.count = 0

    def edit(self, content: Content) -> list[str]:
        """One update's lines, for what the zone holds now."""
        self.count += 1
        self._serial = max(
            self._serial, int(content.types[content.apex]["SOA"][0].rdata.split()[2])
        )
        # A text of its own in each edit: no edit may come out empty.
        mark = f"{MARK}.{self._zone}"
        lines = [f"del {mark} TXT", f'add {mark} 60 TXT "edit {self.count}"']
        for _ in range(self._draw.randrange(1, 5)):
            lines += self._draw.choices(self._operations(), self._weights())[0](content)
        return lines

    def _operations(self) -> list[Callable[[Content], list[str]]]:
        return [
            self._add,
            self._wildcard,
            self._insecure,
            self._secure,
            self._ds,
            self._dname,
            self._alias,
            self._apex,
            self._soa,
            self._ttl,
            self._delete_record,
            self._delete_rrset,
            self._delete_name,
            self._delete_below,
            self._end_delegation,
            self._change,
        ]

    def _weights(self) -> list[int]:
        return [8, 3, 4, 4, 4, 2, 2, 3, 1, 4, 3, 3, 4, 2, 4, 3]

    def _name(self) -> str:
        """A name below the apex, of up to four labels, that may be there or not."""
        draw = self._draw
        host = f"{draw.choice(['host', 'Host'])}{draw.randrange(40)}"
        above = draw.choice(["", "", "", "a.", "x.a.", f"host{draw.randrange(40)}.", "Deep.Er.y."])
        return f"{host}.{above}{self._zone}"

    def _add(self, content: Content) -> list[str]:
        draw = self._draw
        rtype, rdata = draw.choice(
            [
                ("A", f"198.51.100.{draw.randrange(256)}"),
                ("AAAA", f"2001:db8::{draw.randrange(1 << 16):x}"),
                ("TXT", f'"{"x" * draw.randrange(1, 250)}" "{draw.randrange(1 << 30)}"'),
                ("MX", f"{draw.randrange(100)} Mail.{self._zone}"),
                ("SRV", f"0 0 {draw.randrange(1 << 16)} host1.{self._zone}"),
                ("CAA", f'0 issue "ca{draw.randrange(10)}.example"'),
                ("TYPE65400", rf"\# 2 {draw.randrange(1 << 16):04x}"),
                # In lower case: NSD folds the target, which signatures do not (RFC 4034 §6.2).
                ("SVCB", f"1 svc.{self._zone}"),
            ]
        )
        return [f"add {self._name()} 300 {rtype} {rdata}"]

    def _wildcard(self, content: Content) -> list[str]:
        name = f"*.{self._name()}"
        if self._draw.random() < 0.3:
            return [f"add {name} 300 CNAME host1.{self._zone}"]
        return [f'add {name} 300 TXT "any {self._draw.randrange(1000)}"']

    def _insecure(self, content: Content) -> list[str]:
        return self._delegate(self._name())

    def _delegate(self, name: str) -> list[str]:
        server = self._draw.choice([f"ns1.{self._zone}", f"ns.{name}", f"ns.other.{name}"])
        lines = [f"add {name} 600 NS {server}"]
        if server.endswith(f".{name}"):
            lines.append(f"add {server} 600 A 203.0.113.{self._draw.randrange(256)}")
        return lines

    def _secure(self, content: Content) -> list[str]:
        name = self._name()
        return [*self._delegate(name), self._ds_of(name)]

    def _ds_of(self, name: str) -> str:
        tag = self._draw.randrange(1 << 16)
        return f"add {name} 300 DS {tag} 13 2 {self._draw.randbytes(32).hex()}"

    def _ds(self, content: Content) -> list[str]:
        """A delegation becomes secure, or insecure, or has another DS."""
        if not content.cuts:
            return []
        name = self._draw.choice(sorted(content.cuts))
        if content.rdata(name, "DS") and self._draw.random() < 0.7:
            return [f"del {name} DS"]
        return [self._ds_of(str(name))]

    def _end_delegation(self, content: Content) -> list[str]:
        """With its glue, or leaving that behind as what it was hiding."""
        if not content.cuts:
            return []
        name = self._draw.choice(sorted(content.cuts))
        lines = [f"del {name} DS", f"del {name} NS"]
        if self._draw.random() < 0.6:
            lines += self._names_below(content, name)
        return lines

    def _names_below(self, content: Content, name: dns.name.Name) -> list[str]:
        return [f"del {n}" for n in sorted(content.types) if n != name and n.is_subdomain(name)]

    def _dname(self, content: Content) -> list[str]:
        """Knot and NSD take nothing below a DNAME, so that what is there goes."""
        if len(content.dnames) > 2:
            return [f"del {self._draw.choice(sorted(content.dnames))} DNAME"]
        name = f"dname{self._draw.randrange(6)}.{self._draw.choice(['', 'a.'])}{self._zone}"
        return [
            *self._names_below(content, dns.name.from_text(name)),
            f"add {name} 300 DNAME target.{self._zone}",
        ]

    def _alias(self, content: Content) -> list[str]:
        name = f"alias{self._draw.randrange(10)}.{self._zone}"
        return [f"del {name} CNAME", f"add {name} 300 CNAME host{self._draw.randrange(40)}.other."]

    def _apex(self, content: Content) -> list[str]:
        draw, zone = self._draw, self._zone
        return draw.choice(
            [
                [f"add {zone} 300 MX {draw.randrange(100)} host1.{zone}"],
                [f'add {zone} 300 TXT "apex {draw.randrange(100)}"'],
                [f"add {zone} 300 NS ns3.{zone}", f"add ns3.{zone} 300 A 192.0.2.3"],
                [f"del {zone} NS ns3.{zone}"],
                [f"del {zone} MX"],
                [f"del {zone} TXT"],
                [
                    f"del {zone} NS",
                    f"add {zone} 900 NS ns1.{zone}",
                    f"add {zone} 900 NS ns2.{zone}",
                ],
            ]
        )

    def _soa(self, content: Content) -> list[str]:
        """Another negative TTL, and with it one of all proofs (RFC 9077), or just EXPIRE."""
        words = content.types[content.apex]["SOA"][0].rdata.split()
        if self._draw.random() < 0.3:
            words[6] = self._draw.choice(["60", "120", "900"])
        words[5] = str(self._draw.randrange(86400, 864000))
        words[2] = str(self._serial + self._draw.randrange(1, 5))
        ttl = self._draw.choice([300, 300, 300, 100])
        return [f"add {self._zone} {ttl} SOA {' '.join(words)}"]

    def _rrset(self, content: Content) -> tuple[str, str] | None:
        names = [name for name in content.types if not self._fixed(content, name)]
        if not names:
            return None
        name = self._draw.choice(sorted(names))
        return str(name), self._draw.choice(sorted(content.types[name]))

    def _fixed(self, content: Content, name: dns.name.Name) -> bool:
        """Whether a test relies on the name, or BIND does, which wants addresses of its NS."""
        relative = name.relativize(content.apex)
        return name == content.apex or relative.labels[-1] in _FIXED

    def _ttl(self, content: Content) -> list[str]:
        found = self._rrset(content)
        if found is None:
            return []
        name, rtype = found
        ttl = self._draw.choice([30, 60, 600, 7200])
        rdata = sorted(content.rdata(dns.name.from_text(name), rtype))
        return [f"del {name} {rtype}", *(f"add {name} {ttl} {rtype} {one}" for one in rdata)]

    def _change(self, content: Content) -> list[str]:
        """One record instead of others of the same name."""
        found = self._rrset(content)
        if found is None:
            return []
        return [f"del {found[0]}", f'add {found[0]} 300 TXT "instead {self._draw.random()}"']

    def _delete_record(self, content: Content) -> list[str]:
        found = self._rrset(content)
        if found is None:
            return []
        name, rtype = found
        rdata = self._draw.choice(sorted(content.rdata(dns.name.from_text(name), rtype)))
        return [f"del {name} {rtype} {rdata}"]

    def _delete_rrset(self, content: Content) -> list[str]:
        found = self._rrset(content)
        return [] if found is None else [f"del {found[0]} {found[1]}"]

    def _delete_name(self, content: Content) -> list[str]:
        found = self._rrset(content)
        return [] if found is None else [f"del {found[0]}"]

    def _delete_below(self, content: Content) -> list[str]:
        """A name and all below it."""
        found = self._rrset(content)
        if found is None:
            return []
        name = dns.name.from_text(found[0])
        if name.parent() != content.apex and not self._fixed(content, name.parent()):
            name = name.parent()
        return [f"del {name}", *self._names_below(content, name)]

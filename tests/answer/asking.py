"""A zone with every shape of name, and its answers read back with dnspython."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from xfer.answer.denial import Denial
from xfer.answer.respond import Responder
from xfer.wire.edns import Edns
from xfer.wire.names import from_text
from xfer.wire.request import parse_request
from xfer.zone.check import Policy
from xfer.zone.snapshot import Snapshot
from xfer.zone.zonefile import read_zone_text

ZONE = """
$ORIGIN example.com.
$TTL 3600
@               SOA  ns1 hostmaster 1 10000 2400 604800 1800
@               NS   ns1
@               NS   ns.sub
@               NS   ns.other.net.
@               MX   10 mail
ns1             A    192.0.2.1
ns1             AAAA 2001:db8::1
mail            A    192.0.2.2
WWW             A    192.0.2.3
deep.ent.a      TXT  "below empty non-terminals"
alias           CNAME www
chain1          CNAME chain2
chain2          CNAME chain3
chain3          CNAME nowhere
loop1           CNAME loop2
loop2           CNAME loop1
out             CNAME www.other.net.
tosub           CNAME host.sub
*.wild          TXT  "wild"
*.wild          MX   10 mail
own.wild        A    192.0.2.9
x.ent.wild      A    192.0.2.9
*.wcname        CNAME www
x.*.entwild     A    192.0.2.9
sub             NS   ns.sub
sub             NS   ns.sib
sub             NS   ns.other.net.
ns.sub          A    192.0.2.53
sib             NS   ns.sib
ns.sib          A    192.0.2.54
host.sub        A    192.0.2.99
secure          NS   ns1
secure          DS   12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
dn              DNAME target.example.com.
below.dn        A    192.0.2.66
target          A    192.0.2.70
a.target        A    192.0.2.71
long            DNAME {label}.{label}.{label}.example.com.
dout            DNAME other.net.
big             TXT  {big}
""".format(label="l" * 60, big=" ".join(f'"{"b" * 250}{n}"' for n in range(8)))


def snapshot(text: str = ZONE) -> Snapshot:
    return read_zone_text(text, "test", from_text("example.com."), Policy())[0]


def ask(
    name: str, rtype: str, limit: int = 65_535, size: int = 1232, served: Snapshot | None = None
) -> dns.message.Message:
    query = dns.message.make_query(name, rtype, use_edns=0, payload=size)
    served = served or snapshot()
    responder = Responder(served, Denial.finished(served))
    wire = responder.respond(parse_request(query.to_wire()), limit, Edns(0, 1232, False))
    assert len(wire) <= limit
    answer = dns.message.from_wire(wire)
    assert query.is_response(answer)
    assert not answer.flags & (dns.flags.RA | dns.flags.AD)
    return answer


def lines(section: list[dns.rrset.RRset]) -> set[str]:
    return {
        f"{_below(rrset.name.to_text())} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in section
        for rdata in rrset
    }


def _below(name: str) -> str:
    return name.removesuffix(".example.com.") if name != "example.com." else "@"


SOA = "@ SOA ns1.example.com. hostmaster.example.com. 1 10000 2400 604800 1800"

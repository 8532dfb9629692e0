"""Proofs that are made when somebody asks (`xfer.answer.online`)."""

from __future__ import annotations

import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from tests.answer.asking import snapshot
from tests.answer.online import CO, DO, Served

COMPACT = Served.of(snapshot(), "example.com.", True)


@pytest.mark.parametrize(
    ("flags", "rcode"),
    [(DO, dns.rcode.NOERROR), (DO | CO, dns.rcode.NXDOMAIN), (0, dns.rcode.NXDOMAIN)],
)
def test_a_name_that_does_not_exist_is_one_nsec_record(flags: int, rcode: int) -> None:
    answer = COMPACT.ask("nx.example.com.", "A", flags)
    assert answer.rcode() == rcode
    assert answer.ednsflags == flags
    found = [rrset for rrset in answer.authority if rrset.rdtype == dns.rdatatype.NSEC]
    if not flags:
        assert not found
        return
    ((nsec,),) = found
    assert found[0].name == dns.name.from_text("nx.example.com.")
    assert nsec.to_text() == r"\000.nx.example.com. RRSIG NSEC NXNAME"

"""Names keep every letter as they were written, in owners and in rdata, over several hops."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.chain import chain, key_of, pull
from tests.peers import Knot, Named, Nsd, Server, Xferd, file_records

pytestmark = pytest.mark.lab

ZONE = "example.test."
TEXT = """$ORIGIN example.test.
$TTL 300
@ IN SOA nS1.example.test. HostMaster.Example.TEST. 7 3600 600 86400 60
@ NS nS1
@ NS NS2.Example.Test.
@ MX 10 MaiL
nS1 A 192.0.2.1
NS2 A 192.0.2.2
MaiL A 192.0.2.3
MaiL AAAA 2001:db8::3
WwW CNAME MAIL.example.test.
_SIP._tcp SRV 0 0 5060 SiP.Example.Net.
4.3.2.1 NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:Info@Example.com!" RePlace.example.test.
old DNAME New.Example.ORG.
RP RP Person.Mailbox TXT.about.them
AFS AFSDB 1 DB.Example.test.
KX KX 10 Exchange.MAIL
SuB NS Ns.SuB
Ns.SuB A 192.0.2.53
*.WilD TXT "Some Text, Not A Name"
PTR PTR HOST.Elsewhere.test.
"""


def test_bind_to_bind_through_two_xfers_keeps_every_letter(tmp_path: Path) -> None:
    written = file_records(TEXT, ZONE)
    with chain([Named, Xferd, Xferd, Named], ZONE, TEXT, 7) as servers:
        assert servers[0].axfr(ZONE, key_of(0)) == written
        assert servers[3].axfr(ZONE, key_of(3)) == written
        assert pull(servers[2], ZONE, key_of(2), tmp_path) == written


@pytest.mark.parametrize("peer", [Knot, Nsd], ids=lambda kind: kind.program)
def test_what_a_folding_server_sends_arrives_as_it_was_sent(
    peer: type[Server], tmp_path: Path
) -> None:
    with chain([peer, Xferd, Named], ZONE, TEXT, 7) as (primary, xfer, secondary):
        sent = primary.axfr(ZONE, key_of(0))
        assert secondary.axfr(ZONE, key_of(2)) == sent
        assert pull(xfer, ZONE, key_of(1), tmp_path) == sent


@pytest.mark.parametrize("peer", [Knot, Nsd], ids=lambda kind: kind.program)
def test_a_folding_secondary_has_the_same_records_but_for_case(peer: type[Server]) -> None:
    with chain([Named, Xferd, peer], ZONE, TEXT, 7) as (_, _, secondary):
        arrived = secondary.axfr(ZONE, key_of(2), exact_case=False)
    assert arrived == file_records(TEXT, ZONE, exact_case=False)

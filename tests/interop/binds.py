"""BIND as another signer of the zone of `signers`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from tests.interop.signers import THEIRS, TTL, ZONE, Signer, zone_text
from tests.peers.named import Named
from tests.peers.process import PrimaryZone, TsigKey
from tests.peers.updates import Updates

POLICY = """
dnssec-policy "together" {{
    keys {{ {keys} }};
    dnskey-ttl {ttl}; max-zone-ttl 1; parent-ds-ttl 1;
    publish-safety 0; retire-safety 0; zone-propagation-delay 0; parent-propagation-delay 0;
}};
"""


class Bind(Named):
    """BIND that signs the zone by its `dnssec-policy`, from a file of its own and by updates with
    `key`. keys: the roles of its keys, "ksk zsk" or "csk"; servers: addresses in the NS RRset."""

    zone = ZONE

    def __init__(
        self,
        directory: Path,
        keys: str = "ksk zsk",
        *,
        servers: Iterable[str] = (THEIRS,),
        algorithm: int = 13,
        dnskey_ttl: int = TTL,
    ) -> None:
        self.key = TsigKey.make("k.")
        self.roles = keys.split()
        roles = " ".join(f"{role} lifetime unlimited algorithm {algorithm};" for role in self.roles)
        super().__init__(
            [PrimaryZone(ZONE, zone_text(1, servers), updaters=[self.key])],
            address=THEIRS,
            port=53,
            directory=directory,
            extra=POLICY.format(keys=roles, ttl=dnskey_ttl),
            zone_options=('dnssec-policy "together"', "inline-signing no"),
        )

    def ready(self) -> bool:
        """Whether it has made its keys."""
        return len(self._keys()) == len(self.roles)

    def dnskeys(self) -> list[str]:
        """Its DNSKEYs that sign the zone, out of its key files."""
        keys = self._keys()
        return [line for line in keys if "DNSKEY 256 " in line] or keys

    def ds(self) -> list[str]:
        """Rdata of its DS."""
        name = dns.name.from_text(ZONE)
        (top,) = [line for line in self._keys() if "DNSKEY 257 " in line]
        key = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DNSKEY, top.split("DNSKEY ")[1])
        return [dns.dnssec.make_ds(name, key, "SHA256").to_text()]

    def publish(self, updates: Updates, lines: Iterable[str], ttl: int = TTL) -> None:
        """Have it publish DNSKEYs, lines of a zone file."""
        updates.send(f"add {ZONE} {ttl} DNSKEY {line.split('DNSKEY ')[1]}" for line in lines)

    def withdraw(self, updates: Updates, lines: Iterable[str]) -> None:
        """Have it publish them no more."""
        updates.send(f"del {ZONE} DNSKEY {line.split('DNSKEY ')[1]}" for line in lines)

    def for_parent(self, updates: Updates, ours: Signer) -> None:
        """Have it ask the parent for the DS of our KSK too."""
        top = next(record for record in ours.ask("/dnskey")["records"] if record["role"] == "ksk")
        records = [f"CDS {ds}" for ds in ours.ds()] + [f"CDNSKEY {top['text']}"]
        updates.send(f"add {ZONE} {TTL} {one}" for one in records)

    def _keys(self) -> list[str]:
        found = []
        for path in sorted(self.directory.glob("K*.key")):
            found += [line for line in path.read_text().splitlines() if " DNSKEY " in line]
        return found

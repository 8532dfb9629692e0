"""A zone between its modes, by the config alone, and a validating resolver that watches all along.

unsigned → live-signed → disabled → deleted → unsigned → pre-signed → live-signed with its keys.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from tests.interop.signers import (
    OURS,
    TTL,
    ZONE,
    Parent,
    Signer,
    Watch,
    retry,
    unbound_below,
    until,
    zone_text,
)

pytestmark = pytest.mark.lab


def test_no_switch_of_the_mode_is_bogus(tmp_path: Path) -> None:
    here = Signer(OURS, tmp_path / "here")
    here.mode = "unsigned"
    with Parent(tmp_path / "parent") as parent, here:
        parent.delegate([OURS], [])
        with (
            unbound_below(parent, tmp_path / "unbound") as unbound,
            Watch(unbound, [OURS], secure=False) as watch,
        ):
            until(lambda: watch.asked > 3)
            assert not watch.authentic
            live(here, parent, watch)
            away(here, parent, watch)
            before = watch.asked
            until(lambda: watch.asked > before + 10)
            keys = pre_signed(here, parent, watch, tmp_path / "keys")
            taken_over(here, keys)
            before = watch.authentic
            until(lambda: watch.authentic > before + 10)


def switch(here: Signer, mode: str) -> None:
    here.mode = mode
    here.configure()
    here.reload(ZONE)
    until(lambda: here.ask("")["mode"] == mode)


def secured(watch: Watch) -> None:
    """Answers are found secure once caches have forgotten what was before, and stay so."""
    until(lambda: watch.streak > 2 * len(watch.QUESTIONS))
    watch.secure = True


def live(here: Signer, parent: Parent, watch: Watch) -> None:
    switch(here, "live-signed")
    here.refused("/delete")
    until(lambda: here.ask("")["signed"] and here.ask("/ds")["records"])
    parent.delegate([OURS], here.ds())
    here.asked()
    until(lambda: here.ask("")["state"] == "active")
    secured(watch)


def away(here: Signer, parent: Parent, watch: Watch) -> None:
    switch(here, "unsigned")  # which says nothing while its DS is at the parent
    assert here.ask("")["signed"]
    assert "still signed here" in here.ask("")["mismatch"]
    assert "it is active" in here.refused("/delete")
    here.order("/disable")
    assert "the parent has a DS of it" in here.refused("/delete")
    watch.secure = False
    parent.delegate([OURS], [])
    here.asked()
    until(lambda: here.ask("")["state"] == "disabled")
    retry(lambda: here.order("/delete"))
    until(lambda: not here.ask("")["signed"])
    assert not any(record.rtype == "RRSIG" for record in here.axfr(ZONE))


def pre_signed(here: Signer, parent: Parent, watch: Watch, directory: Path) -> list[Path]:
    """The zone signed by BIND's tools, served as it is; the key files."""
    directory.mkdir()
    make = ["dnssec-keygen", "-q", "-a", "13", "-L", str(TTL), "-K", str(directory)]
    for flags in (["-f", "KSK"], []):
        subprocess.run([*make, *flags, ZONE], check=True, capture_output=True)
    keys = sorted(directory.glob("K*.key"))
    here.content += 10
    plain = directory / "plain"
    plain.write_text(zone_text(here.content, here.servers))
    sign = ["dnssec-signzone", "-S", "-K", str(directory), "-o", ZONE, "-d", str(directory)]
    done = subprocess.run(
        [*sign, "-f", str(directory / "signed"), "-O", "full", str(plain)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    switch(here, "pre-signed")
    here.edit_zone(ZONE, (directory / "signed").read_text())
    until(lambda: any(record.rtype == "RRSIG" for record in here.axfr(ZONE)))
    watch.mixing.forget()
    parent.delegate([OURS], [ds_of(path) for path in keys if "DNSKEY 257" in path.read_text()])
    secured(watch)
    return keys


def ds_of(path: Path) -> str:
    line = next(one for one in path.read_text().splitlines() if "DNSKEY 257" in one)
    rdata = line.split("DNSKEY ")[1]
    key = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DNSKEY, rdata)
    return dns.dnssec.make_ds(dns.name.from_text(ZONE), key, "SHA256").to_text()


def taken_over(here: Signer, keys: list[Path]) -> None:
    """Signed here from now on, with the keys that it came with."""
    switch(here, "live-signed")
    until(lambda: here.ask("")["error"])  # its keys are not here yet
    here.order("/import", files=[str(path) for path in keys])
    until(lambda: here.ask("")["signed"] and here.ask("")["state"] == "active")
    idents = {record["key"] for record in here.ask("/dnskey")["records"]}
    assert len(idents) == 2

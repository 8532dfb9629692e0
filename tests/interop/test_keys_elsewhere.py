"""BIND's tools have the KSK of a zone, offline; xfer has its ZSK (RFC 8901 model 1).

`dnssec-keygen` makes the KSK, `dnssec-signzone -x` signs the DNSKEY RRset with our ZSK in it, and
`xfer dnssec import-dnskey` takes it. Validation holds through a roll of the ZSK: for unbound, which
follows the parent, and for every mixture of what caches may hold; what is transferred passes
`dnssec-verify` and `ldns-verify-zone`.

"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.interop.signers import OURS, TTL, ZONE, Parent, Signer, Watch, unbound_below, until
from tests.peers.xferd import run_xfer

pytestmark = pytest.mark.lab


class Offline:
    """Whoever has the KSK, and nothing but BIND's tools."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.stem = self.run("dnssec-keygen", "-q", "-a", "13", "-f", "KSK", ZONE).split()[0]
        (line,) = (
            line
            for line in (directory / f"{self.stem}.key").read_text().splitlines()
            if not line.startswith(";")
        )
        self.dnskey = line

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words, cwd=self.directory, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ds(self) -> list[str]:
        """Rdata of its DS."""
        return [self.run("dnssec-dsfromkey", "-2", f"{self.stem}.key").split(" DS ")[1].strip()]

    def rrset(self, zsks: Sequence[str], ends: str = "now+30d") -> Path:
        """The DNSKEY RRset of the KSK and these, signed."""
        lines = [f"$TTL {TTL}", f"{ZONE} SOA ns.{ZONE} h.{ZONE} 1 3600 600 86400 1"]
        lines += [f"{ZONE} NS ns.{ZONE}", f"ns.{ZONE} A 192.0.2.1", self.dnskey, *zsks]
        (self.directory / "zone").write_text("\n".join(lines) + "\n")
        self.run(
            *("dnssec-signzone", "-q", "-P", "-x", "-O", "full", "-e", ends),
            *("-o", ZONE, "-f", "signed", "zone", self.stem),
        )
        file = self.directory / "dnskey-rrset"
        wanted = [
            line
            for line in (self.directory / "signed").read_text().splitlines()
            if line.split()[3:4] == ["DNSKEY"] or line.split()[3:5] == ["RRSIG", "DNSKEY"]
        ]
        file.write_text("\n".join(wanted) + "\n")
        return file


def hand_in(signer: Signer, file: Path) -> None:
    done = signer.cli("dnssec", "import-dnskey", ZONE, str(file), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr


def refused(signer: Signer, file: Path) -> str:
    done = signer.cli("dnssec", "import-dnskey", ZONE, str(file), "--yes")
    assert done.returncode != 0, done.stdout
    return done.stderr


def verify(signer: Signer, directory: Path) -> None:
    """What a secondary gets is right for both verifiers."""
    file = directory / "transferred"
    done = run_xfer("pull", ZONE, "--from", f"{OURS}:53", "-o", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    for command in (["dnssec-verify", "-o", ZONE, str(file)], ["ldns-verify-zone", str(file)]):
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert said.returncode == 0, (command, said.stdout + said.stderr)


def todo(signer: Signer) -> str:
    return "\n".join(signer.ask("")["todo"])


def test_the_ksk_is_elsewhere_and_the_zsk_rolls(tmp_path: Path) -> None:
    ours = Signer(OURS, tmp_path / "ours", policy='keys = "zsk"\n')
    holder = Offline(tmp_path / "holder")
    with Parent(tmp_path / "parent") as parent, ours:
        parent.delegate([OURS], [])
        until(lambda: "import-dnskey" in todo(ours))
        (old,) = ours.zsk()
        hand_in(ours, holder.rrset([old]))
        verify(ours, tmp_path)
        until(lambda: holder.ds() == ours.ds())
        parent.delegate([OURS], ours.ds())
        until(lambda: ours.stage() and ours.ask("")["state"] == "active")
        with unbound_below(parent, tmp_path / "unbound") as unbound:
            with Watch(unbound, [OURS]) as watch:
                roll(ours, holder, old, tmp_path)
            assert watch.asked == watch.authentic > 20
            assert watch.mixing.tried > 100
        verify(ours, tmp_path)


def roll(ours: Signer, holder: Offline, old: str, directory: Path) -> None:
    """A new ZSK takes the place of the old one, in two RRsets more."""
    ours.order("/roll", what="zsk")
    until(lambda: len(ours.zsk()) == 2)
    (new,) = set(ours.zsk()) - {old}
    until(lambda: "beside the old ones" in todo(ours))
    assert "which signs the zone" in refused(ours, holder.rrset([new]))
    stranger = Offline(directory / "stranger")
    assert "whose DS is at the parent" in refused(ours, stranger.rrset([old, new]))
    hand_in(ours, holder.rrset([old, new]))
    verify(ours, directory)
    until(lambda: new in ours.zsk() and old not in ours.zsk())
    verify(ours, directory)
    until(lambda: "have whoever has the KSK take DNSKEY" in todo(ours))
    hand_in(ours, holder.rrset([new]))
    until(lambda: len(ours.ask("/dnskey")["records"]) == 2)
    until(lambda: len(ours.ask("")["keys"]) == 2)
    assert todo(ours) == ""
    assert "expected a newer one" in refused(ours, holder.rrset([new], "now+10d"))
    status = ours.cli("dnssec", "status", ZONE)
    assert "keyset     signed elsewhere; that ends" in status.stdout

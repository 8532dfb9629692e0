"""`xfer dnssec import-dnskey` against a real core that signs a zone whose KSK is elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Xfer
from tests.control import primary
from tests.control.test_dnssec import CONFIG, ZONE
from tests.dnssec.holding import handed
from tests.dnssec.signed import key
from xfer.dnssec.ds import dnskey_from_text
from xfer.wire import names

ORIGIN = names.from_text("example.com.")
KSK = key(13, True)
ELSEWHERE = CONFIG.replace("propagation = 0\n", 'propagation = 0\nkeys = "zsk"\n', 1)


@pytest.fixture
def on(tmp_path: Path) -> Iterator[tuple[str, str]]:
    path = primary.write(tmp_path, ELSEWHERE, zone=ZONE)
    (tmp_path / "plain").write_text(ZONE)
    text = path.read_text()
    path.write_text(text.replace("[server]\n", f'[server]\nkeys = "{tmp_path}/keys"\n', 1))
    with primary.running(path):
        yield ("--control", str(tmp_path / "control.sock"))


def rrset(xfer: Xfer, on: tuple[str, str], **more: float) -> str:
    """What whoever has the KSK makes of `xfer dnssec zsk`."""
    lines = xfer("dnssec", "zsk", "example.com", *on).stdout.splitlines()
    zsks = [dnskey_from_text(line.split(" DNSKEY ")[1]).rdata for line in lines]
    return handed(ORIGIN, zsks, [KSK], time.time(), **more)  # type: ignore[arg-type]


def test_it_comes_from_a_file_or_from_standard_input(
    xfer: Xfer, on: tuple[str, str], tmp_path: Path
) -> None:
    status = xfer("dnssec", "status", "example.com", *on).stdout
    assert "dnssec     live-signed, pending, 1 key\n" in status
    assert "to do      give DNSKEY 013+" in status
    ds = xfer("dnssec", "ds", "example.com", *on)
    assert ds.exit_code == 1
    assert "whoever has the KSK of example.com. has its DS" in ds.stderr
    file = tmp_path / "rrset"
    file.write_text(rrset(xfer, on, days=20))
    words = ("dnssec", "import-dnskey", "example.com")
    planned = xfer(*words, str(file), "--dry-run", *on)
    assert "example.com. would publish the DNSKEY RRset of tags " in planned.stdout
    assert not json.loads(xfer("dnssec", "status", "example.com", "--json", *on).stdout)["signed"]
    done = xfer(*words, str(file), "--yes", *on)
    assert done.exit_code == 0, done.stderr
    found = json.loads(xfer("dnssec", "status", "example.com", "--json", *on).stdout)
    assert found["signed"] and found["keyset_ends_at"] is not None
    assert "keyset     signed elsewhere; that ends 20" in (
        xfer("dnssec", "status", "example.com", *on).stdout
    )
    text = rrset(xfer, on, days=10)
    older = xfer(*words, "-", "--yes", *on, input=text)
    assert older.exit_code == 1
    assert "expected a newer one than is served" in older.stderr
    assert xfer(*words, "-", "--yes", "--force", *on, input=text).exit_code == 0


def test_what_does_not_hold_is_refused(xfer: Xfer, on: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "rrset"
    for text, said in (
        ("", "expected a DNSKEY RRset, got none"),
        (rrset(xfer, on).splitlines()[0], "expected an RRSIG of the DNSKEY RRset, got none"),
        (rrset(xfer, on, days=-1), "to hold now, got one that ended"),
    ):
        file.write_text(text)
        result = xfer("dnssec", "import-dnskey", "example.com", str(file), "--yes", *on)
        assert result.exit_code == 1, text
        assert said in result.stderr
    missing = xfer("dnssec", "import-dnskey", "example.com", str(tmp_path / "no"), "--yes", *on)
    assert missing.exit_code == 2
    assert "expected a DNSKEY RRset in " in missing.stderr

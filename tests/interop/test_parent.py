"""The DS at real parents: BIND, Knot and NSD as the parent's servers, unbound as a resolver."""

from __future__ import annotations

import contextlib
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dns.rdata
import pytest
import trio

from tests.interop.chain import key_of
from tests.peers import Knot, Named, Nsd, PrimaryZone
from tests.peers.process import Server
from tests.peers.unbound import Unbound
from tests.peers.updates import Updates
from tests.server.fakes import WALL, TrioClock
from xfer.config_parse import Endpoint
from xfer.dnssec import ds as ds_of_key
from xfer.dnssec.keys import make_key
from xfer.dnssec.keystate import KeyState, Role, ZoneKeys
from xfer.dnssec.parent import ParentSaid
from xfer.errors import Failure
from xfer.peers import address_of
from xfer.server.parent import ask_parent
from xfer.wire import names

pytestmark = pytest.mark.lab

PARENT, CHILD = "parent.test.", "child.parent.test."
ORIGIN = names.from_text(CHILD)
UPDATER = key_of(0)
TTL = 7200
OLD = "12345 13 2 " + "0A" * 32
NEW = "54321 15 4 " + "0B" * 48


def rdata(*texts: str) -> frozenset[bytes]:
    return frozenset(dns.rdata.from_text("IN", "DS", text).to_digestable() for text in texts)


def parent_text(serial: int, *ds: str) -> str:
    """The parent zone: the child, with these DS, and names of every other kind."""
    lines = [
        f"{PARENT} 300 SOA ns1.{PARENT} hostmaster.{PARENT} {serial} 3600 600 86400 60",
        f"{PARENT} 300 NS ns1.{PARENT}",
        f"ns1.{PARENT} 300 A 127.0.0.1",
        f"{CHILD} 300 NS ns1.{CHILD}",
        f"ns1.{CHILD} 300 A 127.0.0.1",
        f"alias.{PARENT} 300 CNAME ns1.{PARENT}",
        *(f"{CHILD} {TTL} DS {text}" for text in ds),
    ]
    return "".join(f"{line}\n" for line in lines)


CHILD_TEXT = (
    f"{CHILD} 300 SOA ns1.{CHILD} hostmaster.{CHILD} 1 3600 600 86400 60\n"
    f"{CHILD} 300 NS ns1.{CHILD}\nns1.{CHILD} 300 A 127.0.0.1\n"
)


def endpoint(server: Server) -> Endpoint:
    return Endpoint(address_of(server.address), server.port)


def look(*servers: Server, origin: bytes = ORIGIN) -> ParentSaid:
    async def asking() -> ParentSaid:
        with trio.fail_after(30):
            return await ask_parent(
                origin,
                [endpoint(server) for server in servers],
                clock=TrioClock(),
                rng=random.SystemRandom(),
            )

    return trio.run(asking)


def seen(said: ParentSaid) -> frozenset[bytes]:
    assert said.seen is not None, said.why
    assert (said.why, said.seen.at) == ("", WALL)
    return said.seen.rdata


Make = Callable[[Sequence[PrimaryZone]], Server]
KINDS: dict[str, Make] = {"BIND": Named, "Knot": Knot, "NSD": Nsd}


@contextlib.contextmanager
def running(kind: str, *zones: PrimaryZone) -> Iterator[Server]:
    with KINDS[kind](zones) as server:
        for zone in zones:
            server.wait_serving(zone.name, int(zone.text.split()[5]))
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_a_ds_comes_and_goes_at_a_parent(kind: str) -> None:
    zone = PrimaryZone(PARENT, parent_text(1))
    with running(kind, zone) as server:
        said = look(server)
        assert seen(said) == frozenset()
        assert said.seen is not None
        assert said.seen.ttl is None
        for serial, ds in ((2, [OLD]), (3, [OLD, NEW]), (4, [NEW]), (5, [])):
            server.edit_zone(PARENT, parent_text(serial, *ds))
            server.wait_serving(PARENT, serial)
            said = look(server)
            assert seen(said) == rdata(*ds)
            assert said.seen is not None
            assert said.seen.ttl == (TTL if ds else None)


def test_a_ds_that_came_by_nsupdate_is_seen() -> None:
    zone = PrimaryZone(PARENT, parent_text(1), updaters=[UPDATER])
    for kind in ("BIND", "Knot"):
        with running(kind, zone) as server:
            with Updates(server.remote(UPDATER), PARENT) as updates:
                updates.send([f"add {CHILD} {TTL} DS {NEW}"])
            assert seen(look(server)) == rdata(NEW)
            with Updates(server.remote(UPDATER), PARENT) as updates:
                updates.send([f"delete {CHILD} DS"])
            assert seen(look(server)) == frozenset()


@pytest.mark.parametrize("kind", KINDS)
def test_a_parents_server_that_has_the_zone_too_answers_for_the_parent(kind: str) -> None:
    zones = PrimaryZone(PARENT, parent_text(1, OLD)), PrimaryZone(CHILD, CHILD_TEXT)
    with running(kind, *zones) as server:
        assert seen(look(server)) == rdata(OLD)


@pytest.mark.parametrize("kind", KINDS)
def test_the_zones_own_server_cannot_know(kind: str) -> None:
    with running(kind, PrimaryZone(CHILD, CHILD_TEXT)) as server:
        said = look(server)
        assert said.seen is None
        error = said.servers[0].error
        assert error is not None
        assert error.failure is Failure.DENIED


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_the_parent_does_not_delegate(kind: str) -> None:
    with running(kind, PrimaryZone(PARENT, parent_text(1))) as server:
        for name, word in (
            (f"nowhere.{PARENT}", "NXDOMAIN"),
            (f"alias.{PARENT}", "CNAME"),
            (f"below.{CHILD}", "referral"),
            ("elsewhere.example.", "REFUSED"),
        ):
            said = look(server, origin=names.from_text(name))
            assert said.seen is None
            assert word in said.why


@pytest.mark.parametrize("digest", [ds_of_key.SHA256, ds_of_key.SHA384])
def test_the_ds_that_was_copied_to_a_parent_is_known_as_our_keys(digest: int) -> None:
    key = make_key(13, True)
    ident = f"013+{key.tag:05}"
    state = KeyState(ident, Role.KSK, key.public, WALL)
    zone = ZoneKeys(ORIGIN, keys=(state,))
    line = ds_of_key.ds_of(ORIGIN, key.public, digest).line(ORIGIN)
    text = parent_text(1) + line.replace(" IN DS ", f" {TTL} IN DS ") + "\n"
    with running("Knot", PrimaryZone(PARENT, text)) as server:
        assert ds_of_key.whose(zone, seen(look(server))) == {ident}


def test_many_ds_come_over_tcp() -> None:
    ds = [f"{tag} 13 2 {tag:064X}" for tag in range(1, 51)]
    for kind in KINDS:
        with running(kind, PrimaryZone(PARENT, parent_text(1, *ds))) as server:
            assert seen(look(server)) == rdata(*ds)


def resolver(parent: Server) -> Unbound:
    """A resolver that asks `parent` for the parent zone. It keeps "test." for itself otherwise."""
    stubs = {PARENT: (parent.address, parent.port)}
    return Unbound(stubs, (), options=['local-zone: "test." nodefault'])


def test_a_resolver_tells_the_ds_and_not_its_ttl() -> None:
    with running("NSD", PrimaryZone(PARENT, parent_text(1))) as parent:
        for serial, ds in ((2, [OLD, NEW]), (3, [NEW]), (4, [])):
            parent.edit_zone(PARENT, parent_text(serial, *ds))
            parent.wait_serving(PARENT, serial)
            with resolver(parent) as asked:
                for _ in range(2):  # the second time out of its cache
                    said = look(asked)
                    assert seen(said) == rdata(*ds)
                    assert said.seen is not None
                    assert said.seen.ttl is None
                both = look(asked, parent)
            assert seen(both) == rdata(*ds)
            assert both.seen is not None
            assert both.seen.ttl == (TTL if ds else None)


def test_a_resolver_that_still_has_the_old_one_does_not_agree_with_the_parent() -> None:
    with running("BIND", PrimaryZone(PARENT, parent_text(1, OLD))) as parent:
        with resolver(parent) as asked:
            assert seen(look(asked)) == rdata(OLD)
            parent.edit_zone(PARENT, parent_text(2, NEW))
            parent.wait_serving(PARENT, 2)
            said = look(parent, asked)
            assert (said.seen, said.differ) == (None, True)
        with resolver(parent) as asked:
            assert seen(look(parent, asked)) == rdata(NEW)


def test_a_resolver_that_finds_no_parent_says_so() -> None:
    for zone, word in (("elsewhere.test.", "SERVFAIL"), (CHILD, "the SOA of child.parent.test.")):
        text = CHILD_TEXT.replace(CHILD, zone)
        with running("Knot", PrimaryZone(zone, text)) as server, resolver(server) as asked:
            said = look(asked)
            assert said.seen is None
            assert word in said.why


def test_all_servers_have_to_say_the_same() -> None:
    old, new = PrimaryZone(PARENT, parent_text(1, OLD)), PrimaryZone(PARENT, parent_text(2, NEW))
    with running("BIND", new) as first, running("Knot", new) as second:
        with running("NSD", old) as lagging:
            said = look(first, second, lagging)
            assert (said.seen, said.differ) == (None, True)
            assert said.why.startswith("the parent's servers do not agree: ")
            lagging.edit_zone(PARENT, new.text)
            lagging.wait_serving(PARENT, 2)
            said = look(first, second, lagging)
            assert seen(said) == rdata(NEW)
        said = look(first, second, lagging)
        assert (said.seen, said.differ) == (None, False)
        assert "1 of 3 servers did not say what the DS is" in said.why


def test_a_validating_resolver_does_not_pass_on_what_is_bogus(tmp_path: Path) -> None:
    subprocess.run(
        ["dnssec-keygen", "-q", "-K", str(tmp_path), "-a", "13", "-f", "KSK", PARENT],
        check=True,
        capture_output=True,
        timeout=60,
    )
    (public,) = tmp_path.glob("K*.key")
    anchor = public.read_text().splitlines()[-1]
    (tmp_path / "zone").write_text(parent_text(1, OLD) + anchor + "\n")
    subprocess.run(
        ["dnssec-signzone", "-z", "-K", str(tmp_path), "-o", PARENT, "-f", "signed", "zone"],
        check=True,
        capture_output=True,
        timeout=60,
        cwd=tmp_path,
    )
    signed = (tmp_path / "signed").read_text()
    forged = signed.replace("12345 13 2", "12346 13 2")
    assert forged != signed
    for text, found in ((signed, rdata(OLD)), (forged, None)):
        path = tmp_path / "served"
        path.write_text(text)
        with Named([PrimaryZone(PARENT, path=path)]) as server:
            stubs = {PARENT: (server.address, server.port)}
            options = ['local-zone: "test." nodefault']
            with Unbound(stubs, [anchor], options=options) as asked:
                said = look(asked)
        if found is not None:
            assert seen(said) == found
        else:
            assert said.seen is None
            assert "SERVFAIL" in said.why

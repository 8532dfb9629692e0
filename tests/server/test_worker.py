"""The worker process from within: commands in order, old versions served until the new one is."""

from __future__ import annotations

import socket
import threading

import dns.message

from tests.server.fakes import snapshot
from tests.transfer.zone import ORIGIN
from xfer.server.datagrams import Datagrams
from xfer.server.values import Frames, frame
from xfer.server.worker import Worker, serve
from xfer.wire.names import from_text
from xfer.zone.snapshot import Snapshot

CHILD = from_text("sub.example.com.")


def digests(served: Snapshot) -> list[bytes]:
    return [block.digest for block in served.blocks]


def blocks(served: Snapshot, known: Snapshot | None = None) -> list[tuple[bytes, bytes]]:
    had = set(digests(known)) if known is not None else set()
    return [(block.data, block.digest) for block in served.blocks if block.digest not in had]


def done(worker: Worker) -> list[str]:
    """Do what is to do; the answers."""
    while worker.busy:
        worker.step()
    answers = [kind for kind, *_ in Frames().feed(bytes(worker.out))]
    worker.out.clear()
    return answers


def made() -> Worker:
    worker = Worker([])
    served = snapshot(1)
    worker.take("settings", 1232, 1 << 20, [bytes(16)])
    worker.take("origins", [ORIGIN])
    worker.take("blocks", *blocks(served))
    worker.take("serve", ORIGIN, digests(served), None, True)
    assert done(worker) == ["done"] * 4
    return worker


def serial(worker: Worker, now: float = 1000.0) -> int | None:
    query = dns.message.make_query("example.com.", "SOA").to_wire()
    reply = worker.fast.answer(query, bytes(4), now)
    if reply is None:
        return None
    (soa,) = dns.message.from_wire(reply).answer[0]
    return int(soa.serial)


def test_a_version_is_made_of_new_blocks_and_those_of_the_one_before() -> None:
    worker = made()
    before, after = snapshot(1, blocks=5), snapshot(2, blocks=5)
    worker.take("blocks", *blocks(before))
    worker.take("serve", ORIGIN, digests(before), None, True)
    fresh = blocks(after, before)
    assert len(fresh) == 1
    worker.take("blocks", *fresh)
    worker.take("serve", ORIGIN, digests(after), None, True)
    done(worker)
    assert serial(worker) == 2


def test_the_version_before_is_served_until_the_new_one_is() -> None:
    worker = made()
    worker.take("blocks", *blocks(snapshot(2)))
    worker.take("serve", ORIGIN, digests(snapshot(2)), None, True)
    seen = []
    while worker.busy:
        seen.append(serial(worker))
        worker.step()
    assert set(seen) == {1}
    assert serial(worker) == 2


def test_what_is_not_here_is_for_the_daemon() -> None:
    worker = made()
    assert serial(worker) == 1
    worker.take("until", ORIGIN, 999.0, True)
    done(worker)
    assert serial(worker) is None  # it has expired
    worker.take("until", ORIGIN, 2000.0, True)
    done(worker)
    assert serial(worker) == 1
    worker.take("until", ORIGIN, None, False)
    done(worker)
    assert serial(worker) is None  # not everybody may ask
    worker.take("until", ORIGIN, None, True)
    worker.take("drop", ORIGIN)
    done(worker)
    assert serial(worker) is None


def test_a_zone_below_that_is_not_here_yet_is_not_answered_from_above() -> None:
    worker = made()
    query = dns.message.make_query("www.sub.example.com.", "A").to_wire()
    assert worker.fast.answer(query, bytes(4), 0.0) is not None
    worker.take("origins", [ORIGIN, CHILD])
    done(worker)
    assert worker.fast.again(query, 0.0) is None
    assert worker.fast.answer(query, bytes(4), 0.0) is None
    ds = dns.message.make_query("sub.example.com.", "DS").to_wire()
    assert worker.fast.answer(ds, bytes(4), 0.0) is not None
    worker.take("origins", [ORIGIN])
    done(worker)
    assert worker.fast.answer(query, bytes(4), 0.0) is not None


def test_it_tells_what_it_has_counted() -> None:
    worker = made()
    for _ in range(3):
        serial(worker)
    worker.take("count")
    worker.step()
    ((kind, (kinds, zones, *_)),) = Frames().feed(bytes(worker.out))
    assert (kind, list(kinds.values()), zones) == ("counted", [3], {ORIGIN: 3})


def test_it_serves_a_real_socket_and_ends_with_the_daemon() -> None:
    udp = Datagrams.bind("127.0.0.1", 0)
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=serve, args=(theirs, Worker([udp])))
    with udp.socket, ours, theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        thread.start()
        served = snapshot(4)
        frames = Frames()

        def confirmed(number: int) -> list[tuple[object, ...]]:
            found: list[tuple[object, ...]] = []
            while len(found) < number:
                found += frames.feed(ours.recv(65536))
            return found

        ours.sendall(
            frame("settings", 1232, 1 << 20, [])
            + frame("origins", [ORIGIN])
            + frame("blocks", *blocks(served))
            + frame("serve", ORIGIN, digests(served), None, True)
            + frame("go")
        )
        assert confirmed(5) == [("done",)] * 5
        client.settimeout(10)
        client.connect(("127.0.0.1", udp.port))
        query = dns.message.make_query("example.com.", "SOA")
        client.send(query.to_wire())
        answer = dns.message.from_wire(client.recv(4096))
        assert query.is_response(answer)
        other = dns.message.make_query("example.net.", "SOA").to_wire()
        client.send(other)
        assert confirmed(1) == [("asked", 0, other, client.getsockname(), [])]
        ours.close()
        thread.join(10)
        assert not thread.is_alive()

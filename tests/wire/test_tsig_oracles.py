"""TSIG between us and BIND, Knot, NSD, dig and kdig, over loopback."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.peers.knot import Knot
from tests.peers.named import Named
from tests.peers.nsd import Nsd
from tests.peers.process import PrimaryZone, Server, TsigKey
from tests.wire.tsig_by_hand import SIZES, Signature
from xfer.errors import TsigError, TsigKind
from xfer.wire import names
from xfer.wire.message import (
    Edns,
    Kind,
    Question,
    check_response,
    expire_request,
    make_error,
    make_query,
    parse_request,
    parse_response,
    soa_serial_of,
)
from xfer.wire.tsig import (
    Key,
    RequestRefused,
    ResponseSigner,
    ResponseVerifier,
    sign_request,
    verify_request,
)

pytestmark = pytest.mark.lab

ZONE = names.from_text("example.com")
SERIAL = 2024101100
HOSTS = 3000
ZONE_TEXT = (
    "$ORIGIN example.com.\n$TTL 300\n"
    f"@ SOA ns admin {SERIAL} 3600 600 86400 300\n@ NS ns\nns A 192.0.2.1\n"
    + "".join(f"host-{n} A 192.0.2.{n % 250}\n" for n in range(HOSTS))
)
RECORDS = HOSTS + 4  # SOA twice, NS, the server's address
FULL = ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]
#: BIND alone has these, and sends them under the name of the full algorithm.
BIND_SHORT = ["hmac-sha256-128", "hmac-sha384-192", "hmac-sha512-256"]


def peer_key(algorithm: str) -> TsigKey:
    return TsigKey.make(f"key-{algorithm}.", algorithm)


def our_key(algorithm: str) -> Key:
    """Our form of `peer_key`; BIND's short keys bear the full algorithm's name on the wire."""
    key = peer_key(algorithm)
    return Key.from_text(key.name, "-".join(algorithm.split("-")[:2]), key.secret)


def zone_with(algorithms: list[str]) -> PrimaryZone:
    return PrimaryZone("example.com.", ZONE_TEXT, keys=[peer_key(a) for a in algorithms])


@pytest.fixture(scope="module")
def bind() -> Iterator[Server]:
    with Named([zone_with(FULL + BIND_SHORT)]) as server:
        server.wait_serving("example.com.", SERIAL)
        yield server


@pytest.fixture(scope="module")
def bind_one_answer() -> Iterator[Server]:
    with Named([zone_with(FULL)], one_answer=True) as server:
        server.wait_serving("example.com.", SERIAL)
        yield server


@pytest.fixture(scope="module")
def knot() -> Iterator[Server]:
    with Knot([zone_with(FULL)]) as server:
        server.wait_serving("example.com.", SERIAL)
        yield server


@pytest.fixture(scope="module")
def nsd() -> Iterator[Server]:
    with Nsd([zone_with(FULL)]) as server:
        server.wait_serving("example.com.", SERIAL)
        yield server


@pytest.fixture(params=["bind", "knot", "nsd"])
def server(request: pytest.FixtureRequest) -> Server:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Server)
    return found


def read_message(stream: socket.socket) -> bytes:
    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = stream.recv(size - len(data))
            if not part:
                raise EOFError(f"expected {size} octets, got {len(data)}")
            data += part
        return data

    return exactly(int.from_bytes(exactly(2), "big"))


@contextlib.contextmanager
def asked(server: Server, msg: bytes) -> Iterator[socket.socket]:
    with socket.create_connection((server.address, server.port), 10) as stream:
        stream.sendall(struct.pack(">H", len(msg)) + msg)
        yield stream


def now() -> int:
    return int(time.time())


def ask(server: Server, key: Key, *, at: int | None = None, rtype: int = 6) -> bytes:
    """One signed query over TCP and its verified response."""
    sent_at = now() if at is None else at
    signed, mac = sign_request(make_query(4711, ZONE, rtype), key, sent_at)
    checker = ResponseVerifier(key, mac)
    with asked(server, signed) as stream:
        reply = checker.feed(read_message(stream), sent_at)
    checker.finish()
    return reply


def pull(server: Server, key: Key, edns: Edns | None = None) -> tuple[int, int, int]:
    """(records, messages, signed messages) of a verified AXFR."""
    signed, mac = sign_request(make_query(4711, ZONE, 252, edns), key, now())
    checker = ResponseVerifier(key, mac)
    records = 0
    with asked(server, signed) as stream:
        while records < RECORDS:
            msg = checker.feed(read_message(stream), now())
            response = parse_response(msg)
            check_response(response, 4711, 0, Question(ZONE, 252), first=records == 0)
            assert response.rcode == 0
            records += response.header.ancount
    checker.finish()
    return records, checker.messages, checker.signed


def refusal(server: Server, key: Key, *, at: int | None = None) -> TsigError:
    with pytest.raises(TsigError) as caught:
        ask(server, key, at=at)
    return caught.value


@pytest.mark.parametrize("algorithm", FULL)
def test_soa_query_is_answered_and_verified(server: Server, algorithm: str) -> None:
    reply = ask(server, our_key(algorithm))
    assert soa_serial_of(reply, parse_response(reply), Question(ZONE, 6)) == SERIAL


@pytest.mark.parametrize("algorithm", FULL)
def test_transfer_is_verified_to_its_end(server: Server, algorithm: str) -> None:
    records, messages, signed = pull(server, our_key(algorithm))
    assert records == RECORDS
    assert messages > 1
    assert signed > 1


def test_transfer_with_edns_is_verified(server: Server) -> None:
    edns = Edns(options=[expire_request()])
    assert pull(server, our_key("hmac-sha256"), edns)[0] == RECORDS


def test_transfer_of_one_record_a_message_is_verified(bind_one_answer: Server) -> None:
    records, messages, _ = pull(bind_one_answer, our_key("hmac-sha256"))
    assert (records, messages) == (RECORDS, RECORDS)


def short_answer(bind: Server, algorithm: str, known: Key) -> tuple[bytes, ResponseVerifier]:
    """BIND's answer to a request with a MAC as short as its key allows; then its own are too."""
    signature = Signature(
        name=f"key-{algorithm}",
        algorithm=known.algorithm.text,
        secret=known.secret,
        time=now(),
        size=SIZES[algorithm],
    )
    signed, mac = signature.sign(make_query(4711, ZONE, 6))
    with asked(bind, signed) as stream:
        return read_message(stream), ResponseVerifier(known, mac)


@pytest.mark.parametrize("algorithm", BIND_SHORT)
def test_macs_that_bind_shortens_are_accepted(bind: Server, algorithm: str) -> None:
    known = our_key(algorithm)
    answer, checker = short_answer(bind, algorithm, known)
    reply = checker.feed(answer, now())
    assert len(answer) - len(reply) == known.tsig_size() - SIZES[algorithm]
    assert pull(bind, known)[0] == RECORDS


def test_policy_refuses_the_macs_that_bind_shortens(bind: Server) -> None:
    known = our_key("hmac-sha256-128")
    strict = Key(known.name, known.algorithm, known.secret, min_mac=32)
    answer, checker = short_answer(bind, "hmac-sha256-128", strict)
    with pytest.raises(TsigError) as caught:
        checker.feed(answer, now())
    assert caught.value.kind is TsigKind.BAD_TRUNCATION
    assert caught.value.got == "16"


@pytest.mark.parametrize("algorithm", BIND_SHORT)
def test_binds_name_for_a_short_algorithm_is_explained(bind: Server, algorithm: str) -> None:
    key = peer_key(algorithm)
    error = refusal(bind, Key.from_text(key.name, algorithm, key.secret))
    assert error.kind is TsigKind.PEER_BADKEY
    assert f"BIND's {algorithm} wants {algorithm[:11]} from us" in error.got


def test_unknown_name_is_the_peers_badkey(server: Server) -> None:
    known = our_key("hmac-sha256")
    error = refusal(server, Key(names.from_text("other."), known.algorithm, known.secret))
    assert error.kind is TsigKind.PEER_BADKEY
    assert "peer does not know other. with hmac-sha256" in error.got


def test_another_algorithm_is_the_peers_badkey_or_badsig(server: Server) -> None:
    other = our_key("hmac-sha512")
    error = refusal(server, Key(our_key("hmac-sha256").name, other.algorithm, other.secret))
    # NSD tries the request's algorithm on the key's secret; both sentences name the algorithm.
    said = TsigKind.PEER_BADSIG if isinstance(server, Nsd) else TsigKind.PEER_BADKEY
    assert error.kind is said
    assert "another algorithm" in error.got


def test_another_secret_is_the_peers_badsig(server: Server) -> None:
    known = our_key("hmac-sha256")
    error = refusal(server, Key(known.name, known.algorithm, b"another secret"))
    assert error.kind is TsigKind.PEER_BADSIG


@pytest.mark.parametrize("drift", [-1000, 1000])
def test_wrong_clock_is_the_peers_badtime_with_both_clocks(server: Server, drift: int) -> None:
    ours = now() + drift
    error = refusal(server, our_key("hmac-sha256"), at=ours)
    assert error.kind is TsigKind.PEER_BADTIME
    assert error.our_time == ours
    assert abs(error.their_time - now()) < 30


def test_shortened_mac_is_binds_badtrunc(bind: Server) -> None:
    known = our_key("hmac-sha256")
    signature = Signature(name="key-hmac-sha256", secret=known.secret, time=now(), size=16)
    signed, mac = signature.sign(make_query(4711, ZONE, 6))
    with asked(bind, signed) as stream, pytest.raises(TsigError) as caught:
        ResponseVerifier(known, mac).feed(read_message(stream), now())
    assert caught.value.kind is TsigKind.PEER_BADTRUNC


def test_answer_to_another_request_is_a_bad_mac(server: Server) -> None:
    key = our_key("hmac-sha256")
    signed, _ = sign_request(make_query(4711, ZONE, 6), key, now())
    with asked(server, signed) as stream, pytest.raises(TsigError) as caught:
        ResponseVerifier(key, bytes(32)).feed(read_message(stream), now())
    assert caught.value.kind is TsigKind.BAD_MAC


def test_unsigned_query_gets_an_unsigned_answer(server: Server) -> None:
    with asked(server, make_query(4711, ZONE, 6)) as stream, pytest.raises(TsigError) as caught:
        ResponseVerifier(our_key("hmac-sha256"), bytes(32)).feed(read_message(stream), now())
    assert caught.value.kind is TsigKind.MISSING


# -- dig and kdig ask, we answer


class Answering:
    """A TCP server of one zone with a handful of records, in a thread, for one connection each.

    AXFR comes in `count` messages of two records; `seen` holds the TSIG kinds refused.
    """

    def __init__(self, key: Key, *, clock: int = 0, count: int = 4) -> None:
        self.key = key
        self.clock = clock
        self.count = count
        self.seen: list[TsigKind] = []
        self.macs: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
        self._listener.close()

    def _serve(self) -> None:
        self._listener.settimeout(15)
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(15)
            for reply in self._replies(read_message(connection)):
                connection.sendall(struct.pack(">H", len(reply)) + reply)
            # The client closes when it has what it wants; closing first could cut it off.
            with contextlib.suppress(OSError):
                connection.recv(1)

    def _replies(self, msg: bytes) -> list[bytes]:
        time_now = now() + self.clock
        try:
            verified = verify_request(msg, {self.key.name: self.key}, time_now)
        except RequestRefused as error:
            self.seen.append(error.kind)
            reply = error.response()
            return [] if reply is None else [reply]
        request = parse_request(verified.message)
        signer = verified.signer()
        assert signer is not None
        self.macs.append(len(verified.mac))
        head = make_error(verified.message, 0, aa=True)
        assert head is not None
        soa_rdata = b"\xc0\x0c\xc0\x0c" + struct.pack(">IIIII", SERIAL, 1, 1, 1, 1)
        soa = b"\xc0\x0c" + struct.pack(">HHIH", 6, 1, 300, len(soa_rdata)) + soa_rdata
        if request.kind is not Kind.AXFR:
            return [signer.sign(self._message(head, [soa]), time_now)]
        host = b"\xc0\x0c" + struct.pack(">HHIH4s", 1, 1, 300, 4, b"\xc0\0\2\1")
        bodies = [[host, host] for _ in range(self.count)]
        bodies[0][0] = bodies[-1][1] = soa
        # As from a stored image: ID 0 until it is signed.
        return [
            signer.sign(b"\0\0" + self._message(head, body)[2:], time_now, request.id)
            for body in bodies
        ]

    def _message(self, head: bytes, records: list[bytes]) -> bytes:
        return head[:6] + struct.pack(">H", len(records)) + head[8:] + b"".join(records)


def run(program: str, port: int, key: TsigKey, what: str) -> str:
    """Output and errors of dig or kdig asking us over TCP with that key."""
    signed = f"{key.algorithm}:{key.name}:{key.secret}"
    command = [program, "@127.0.0.1", "-p", str(port), "-y", signed, "+tcp", "+norec"]
    done = subprocess.run(
        [*command, "example.com.", what], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout + done.stderr


def complaints(output: str) -> list[str]:
    words = ("couldn't verify", "could not", "warning", "error:", "failed", "badsig")
    return [line for line in output.splitlines() if any(word in line.lower() for word in words)]


@pytest.mark.parametrize("what", ["SOA", "AXFR"])
@pytest.mark.parametrize("algorithm", FULL)
@pytest.mark.parametrize("program", ["dig", "kdig"])
def test_client_verifies_what_we_sign(program: str, algorithm: str, what: str) -> None:
    with Answering(our_key(algorithm)) as us:
        output = run(program, us.port, peer_key(algorithm), what)
    assert complaints(output) == []
    assert us.macs == [SIZES[algorithm]]
    assert output.count(f" {SERIAL} ") == (2 if what == "AXFR" else 1)


@pytest.mark.parametrize("algorithm", BIND_SHORT)
def test_digs_shortened_request_is_accepted(algorithm: str) -> None:
    with Answering(our_key(algorithm)) as us:
        output = run("dig", us.port, peer_key(algorithm), "AXFR")
    assert us.macs == [SIZES[algorithm]]
    assert complaints(output) == []
    assert output.count(f" {SERIAL} ") == 2


def test_client_sees_when_we_sign_with_another_secret() -> None:
    """The counter-proof: dig does complain about a signature that is wrong."""
    key = our_key("hmac-sha256")

    class Wrong(Answering):
        def _replies(self, msg: bytes) -> list[bytes]:
            reply = make_error(verify_request(msg, {key.name: key}, now()).message, 0)
            assert reply is not None
            return [ResponseSigner(key, bytes(32)).sign(reply, now())]

    with Wrong(key) as us:
        assert complaints(run("dig", us.port, peer_key("hmac-sha256"), "SOA")) != []


@pytest.mark.parametrize(
    ("name", "secret", "clock", "kind", "word"),
    [
        ("other.", None, 0, TsigKind.UNKNOWN_KEY, "BADKEY"),
        (None, b"another secret", 0, TsigKind.BAD_MAC, "BADSIG"),
        (None, None, 4000, TsigKind.BAD_TIME, "BADTIME"),
    ],
)
def test_dig_shows_the_tsig_error_that_we_answer(
    name: str | None, secret: bytes | None, clock: int, kind: TsigKind, word: str
) -> None:
    known = peer_key("hmac-sha256")
    text = known.secret if secret is None else base64.b64encode(secret).decode()
    with Answering(our_key("hmac-sha256"), clock=clock) as us:
        output = run("dig", us.port, TsigKey(name or known.name, "hmac-sha256", text), "SOA")
    assert us.seen == [kind]
    assert "NOTAUTH" in output
    assert word in output

"""Bad transfers as an operator meets them: `xfer serve` with a journal, over TCP, by commands.

One case of each class and more; the whole table runs in process (`test_table`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

import attrs
import pytest

from tests.badinput.case import ANSWERS, PLACES, POSITIONS
from tests.badinput.cases import CASES
from tests.badinput.primary import KEY, Draft, Fault, Pause, Piece, Script, TcpPrimary, soa
from tests.peers.process import Remote, SecondaryZone, TsigKey
from tests.peers.xferd import Xferd
from xfer.errors import Failure

ZONE = "example.com."
LIMITS = "[limits]\nidle_timeout = 2.0\nmax_message_count = 50\n"
TSIG = TsigKey("k1.", "hmac-sha256", base64.b64encode(KEY.secret).decode())


@attrs.frozen
class Running:
    """The daemon and its primary; signed: whether they have a key."""

    daemon: Xferd
    primary: TcpPrimary
    signed: bool


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    signed: bool = request.param
    with TcpPrimary([Script(1)]) as primary:
        remote = Remote(primary.address, primary.port, TSIG if signed else None)
        with Xferd([SecondaryZone(ZONE, [remote])], extra=LIMITS) as daemon:
            daemon.wait_serving(ZONE, 1)
            yield Running(daemon, primary, signed)


@attrs.frozen
class Bad:
    """got: part of the sentence's second half."""

    title: str
    script: Script
    failure: Failure
    expected: str
    got: str
    tsig: tuple[bool, ...] = (False, True)


def stopped(frames: list[bytes]) -> Iterable[Piece]:
    return [b"".join(frames)[:300], Pause()]


def unequal(draft: Draft) -> None:
    draft.answers[-1] = soa(0)


def closed(frames: list[bytes]) -> Iterable[Piece]:
    return [b"".join(frames)[:300]]


SELECTED = {
    "REFUSED first": "first",
    "SERVFAIL mid-stream": "middle",
    "another ID": "middle",
    "QR clear": "first",
    "question with another name": "first",
    "ANCOUNT too high": "last",
    "cut by 30 on the way": "middle",
    "an empty message": "first",
    "owner points to itself": "last",
    "A of five octets": "middle",
    "first record is NS": "first",
    "no closing SOA": "last",
    "a record after the closing SOA": "last",
    "a message after the last": "last",
    "CNAME beside an address": "middle",
    "an EXPIRE option of three octets": "last",
    "the first message unsigned": "first",
    "the last message unsigned": "last",
    "another key": "first",
    "another algorithm": "middle",
    "another secret": "last",
    "a changed record": "middle",
}


def filled(text: str, where: str) -> str:
    return text.partition(" … ")[0].format(place=PLACES[where], n=ANSWERS[where])


BAD = [
    Bad("another closing SOA", Script(0, fault=Fault(edit=unequal), at=4), Failure.PROTOCOL,
        "the closing SOA to equal the opening one (serial ", "another SOA (serial 0,"),
    Bad("closed", Script(0, fault=Fault(stream=closed)), Failure.TRANSPORT,
        "the transfer to go on to its closing SOA", "closed after "),
    Bad("stalled", Script(0, fault=Fault(stream=stopped)), Failure.TRANSPORT,
        "octets within 2 s", "stopped after "),
    Bad("too many messages", Script(0, messages=51), Failure.POLICY,
        "at most 50 messages in a transfer", "51 or more"),
    *(
        Bad(case.title, Script(0, fault=case.fault, at=POSITIONS[where]), case.failure,
            filled(case.expected, where), filled(case.got, where), case.tsig)
        for title, where in SELECTED.items()
        for case in CASES
        if case.title == title and where in case.where
    ),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("running", "bad"),
    [
        pytest.param(signed, bad, id=f"{bad.title}-{'signed' if signed else 'unsigned'}")
        for number, bad in enumerate(BAD)
        # The table runs both ways; here one is enough, in turn.
        for signed in [bad.tsig[number % len(bad.tsig)]]
    ],
    indirect=["running"],
)
def test_operator_is_told_and_the_old_version_serves_on(running: Running, bad: Bad) -> None:
    daemon, primary = running.daemon, running.primary
    old = daemon.serial(ZONE)
    assert old is not None
    primary.play(attrs.evolve(bad.script, serial=old + 1), Script(old + 1))

    done = daemon.cli("force-axfr", ZONE, "--wait")
    first = done.stderr.splitlines()[0]
    assert done.returncode == 1
    expected, _, got = first.partition(", got ")
    assert f"{bad.failure.value}: peer-0 {primary.address}#{primary.port} from " in expected
    assert bad.expected in expected
    assert bad.got in got
    assert "Traceback" not in done.stderr

    status = json.loads(daemon.cli("status", ZONE, "--json").stdout)
    assert status["error"]["failure"] == bad.failure.value
    assert status["error"]["sentence"] in first
    assert status["serial"] == old
    assert daemon.serial(ZONE) == old

    good = daemon.cli("force-axfr", ZONE, "--wait")
    assert good.returncode == 0, good.stderr
    assert daemon.serial(ZONE) == old + 1
    assert "Traceback" not in daemon.logs()

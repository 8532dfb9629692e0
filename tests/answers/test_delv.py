"""dig and delv, as an operator would look at a pre-signed zone served by xfer."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answers import zones
from tests.answers.signing import Form, Key, sign
from tests.peers import PrimaryZone, Xferd

pytestmark = pytest.mark.lab

FORMS = (Form.NSEC, Form.NSEC3, Form.OPT_OUT)


def origin_of(form: Form) -> str:
    return f"{form.name.lower().replace('_', '-')}.test."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xferd]:
    directory = tmp_path_factory.mktemp("signing")
    files = []
    for form in FORMS:
        origin = origin_of(form)
        files.append(PrimaryZone(origin, sign(zones.shapes(1), origin, form, directory)))
    with Xferd(files) as running:
        for zone in files:
            running.wait_serving(zone.name, 7)
        yield running


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


# Under opt-out a validator calls what a wildcard gave unsigned (RFC 5155 §9.2).
@pytest.mark.parametrize("form", FORMS[:2], ids=lambda form: form.name)
@pytest.mark.parametrize(
    ("name", "rtype", "verdict"),
    [
        ("www", "A", "; fully validated"),
        ("any.wild", "A", "; fully validated"),
        ("c1", "A", "; fully validated"),
        ("www", "SRV", "; negative response, fully validated"),
        ("ent", "A", "; negative response, fully validated"),
        ("any.wild", "MX", "; negative response, fully validated"),
        ("doesnotexist", "A", "; negative response, fully validated"),
        ("sdel1", "DS", "; fully validated"),
    ],
)
def test_delv_says_fully_validated(
    server: Xferd, form: Form, name: str, rtype: str, verdict: str, tmp_path: Path
) -> None:
    origin = origin_of(form)
    anchors = tmp_path / "anchors"
    _, _, algorithm, secret = str(Key.of(origin).dnskey).split(None, 3)
    anchors.write_text(
        f'trust-anchors {{ "{origin}" static-key 257 3 {algorithm} "{secret}"; }};\n'
    )
    out = run(
        "delv", f"@{server.address}", "-p", str(server.port), "-a", str(anchors),
        f"+root={origin}", f"{name}.{origin}", rtype,
    )  # fmt: skip
    assert verdict in out, out


def dig(server: Xferd, name: str, rtype: str) -> str:
    at = ("dig", f"@{server.address}", "-p", str(server.port))
    return run(*at, "+dnssec", "+norecurse", name, rtype)


def proofs(out: str, form: Form) -> list[list[str]]:
    """The words of the records of the chain that dig has shown."""
    kind = "NSEC" if form is Form.NSEC else "NSEC3"
    return [line.split() for line in out.splitlines() if line.split()[3:4] == [kind]]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_dig_shows_the_proof_of_a_name_that_does_not_exist(server: Xferd, form: Form) -> None:
    out = dig(server, f"doesnotexist.{origin_of(form)}", "A")
    assert "status: NXDOMAIN" in out
    assert "flags: qr aa;" in out
    # NSEC: what covers the name covers the wildcard too, or one more; NSEC3: §7.2.2's three.
    assert len(proofs(out, form)) in ((1, 2) if form is Form.NSEC else (2, 3))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_dig_shows_the_proof_of_a_type_that_does_not_exist(server: Xferd, form: Form) -> None:
    out = dig(server, f"www.{origin_of(form)}", "SRV")
    assert "status: NOERROR" in out
    assert "ANSWER: 0" in out
    (proof,) = proofs(out, form)
    assert {"A", "AAAA", "TXT", "RRSIG"} <= set(proof[5:])
    assert "SRV" not in proof[5:]

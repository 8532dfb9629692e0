"""Server cookies against the vectors of RFC 9018, and against their lifetimes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer.answer.cookies import FUTURE, LIFETIME, RENEW, Checked, Cookies

#: RFC 9018 Appendix A.1 to A.4: secret, client's cookie, its address, time, server cookie.
VECTORS = [
    (
        "e5e973e5a6b2a43f48e7dc849e37bfcf",
        "2464c4abcf10c957",
        "198.51.100.100",
        1559731985,
        "010000005cf79f111f8130c3eee29480",
    ),
    (
        "e5e973e5a6b2a43f48e7dc849e37bfcf",
        "2464c4abcf10c957",
        "198.51.100.100",
        1559734385,
        "010000005cf7a871d4a564a1442aca77",
    ),
    (
        "e5e973e5a6b2a43f48e7dc849e37bfcf",
        "fc93fc62807ddb86",
        "203.0.113.203",
        1559734700,
        "010000005cf7a9acf73a7810aca2381e",
    ),
    (
        "445536bcd2513298075a5d379663c962",
        "22681ab97d52c298",
        "2001:db8:220:1:59de:d0f4:8769:82b8",
        1559741961,
        "010000005cf7c609a6bb79d16625507a",
    ),
]

OURS, OLD = bytes(range(16)), bytes(range(1, 17))
CLIENT = ip_address("192.0.2.7").packed
OWN = b"clientck"
NOW = 1_790_000_000


@pytest.mark.parametrize(("secret", "own", "address", "at", "expected"), VECTORS)
def test_the_vectors_of_the_rfc(
    secret: str, own: str, address: str, at: int, expected: str
) -> None:
    cookies = Cookies([bytes.fromhex(secret)])
    client = ip_address(address).packed
    made = cookies.make(bytes.fromhex(own), client, at)
    assert made.hex() == own + expected
    assert cookies.check(made, client, at) == Checked(True, made)


def test_reserved_octets_are_hashed_as_they_came_and_sent_as_zero() -> None:
    """RFC 9018 A.3. The time there is later than the cookie may live, so it is moved."""
    cookies = Cookies([bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")])
    client = ip_address("203.0.113.203").packed
    sent = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    made_at = 1559727985
    assert cookies.check(sent, client, made_at + RENEW) == Checked(True, sent)
    renewed = cookies.check(sent, client, made_at + RENEW + 1)
    assert renewed is not None and renewed.valid
    assert renewed.answer[8:12] == b"\1\0\0\0"


def test_a_rolled_secret_still_checks_and_the_new_one_makes() -> None:
    """RFC 9018 A.4."""
    new, old = "445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"
    cookies = Cookies([bytes.fromhex(new), bytes.fromhex(old)])
    client = ip_address("2001:db8:220:1:59de:d0f4:8769:82b8").packed
    sent = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
    expected = bytes.fromhex("22681ab97d52c298010000005cf7c609a6bb79d16625507a")
    assert cookies.check(sent, client, 1559741961) == Checked(True, expected)


@pytest.mark.parametrize(
    ("age", "valid", "kept"),
    [
        (-FUTURE - 1, False, False),
        (-FUTURE, True, True),
        (0, True, True),
        (RENEW, True, True),
        (RENEW + 1, True, False),
        (LIFETIME, True, False),
        (LIFETIME + 1, False, False),
    ],
)
@pytest.mark.parametrize("now", [NOW, 1000, 2**32 - 100, 2**32 + 100])
def test_a_cookie_lives_an_hour_and_is_renewed_after_half(
    age: int, valid: bool, kept: bool, now: int
) -> None:
    cookies = Cookies([OURS])
    sent = cookies.make(OWN, CLIENT, now - age)
    fresh = cookies.make(OWN, CLIENT, now)
    assert cookies.check(sent, CLIENT, now) == Checked(valid, sent if kept else fresh)


@pytest.mark.parametrize("size", [*range(8), *range(9, 16), *range(41, 50)])
def test_a_malformed_cookie(size: int) -> None:
    assert Cookies([OURS]).check(bytes(size), CLIENT, NOW) is None


@pytest.mark.parametrize("size", [8, *range(16, 41)])
def test_no_server_cookie_or_that_of_another_server_gets_a_fresh_one(size: int) -> None:
    cookies = Cookies([OURS])
    sent = (OWN + b"\1" * 32)[:size]
    assert cookies.check(sent, CLIENT, NOW) == Checked(False, cookies.make(OWN, CLIENT, NOW))


def test_another_secret_client_cookie_or_address_does_not_do() -> None:
    sent = Cookies([OLD]).make(OWN, CLIENT, NOW)
    ours = Cookies([OURS])
    for cookies, option, client in (
        (ours, sent, CLIENT),
        (Cookies([OLD]), b"CLIENTCK" + sent[8:], CLIENT),
        (Cookies([OLD]), sent, ip_address("192.0.2.8").packed),
        (Cookies([OLD]), sent[:8] + b"\2" + sent[9:], CLIENT),
    ):
        checked = cookies.check(option, client, NOW)
        assert checked is not None and not checked.valid


@given(st.binary(max_size=48), st.integers(0, 2**40))
def test_no_octets_make_a_cookie_valid_but_our_own(option: bytes, now: int) -> None:
    checked = Cookies([OURS, OLD]).check(option, CLIENT, now)
    if checked is not None:
        assert not checked.valid
        assert checked.answer[:8] == option[:8]
        assert len(checked.answer) == 24


@pytest.mark.parametrize("secrets", [[], [b"short"], [OURS, bytes(17)]])
def test_secrets_have_16_octets(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16 octets"):
        Cookies(secrets)

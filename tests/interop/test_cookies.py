"""Server cookies of xfer, BIND and Knot under one secret are good at each of them (RFC 9018)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.peers import Knot, Named, PrimaryZone, Server, Xferd

pytestmark = pytest.mark.lab

ZONE = "example.test."
TEXT = "@ 300 SOA ns1 host 7 3600 600 86400 60\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"
OLD, NEW = "dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"
OWN = b"clientck"


def bind(secrets: list[str]) -> Named:
    """It answers BADCOOKIE to whoever has no cookie that it accepts."""
    written = "".join(f'cookie-secret "{secret}"; ' for secret in secrets)
    options = f"cookie-algorithm siphash24; {written} require-server-cookie yes;"
    return Named([PrimaryZone(ZONE, TEXT)], options=options)


def knot(secrets: list[str]) -> Knot:
    """It answers BADCOOKIE likewise."""
    written = ", ".join(f"0x{secret}" for secret in secrets)
    section = f"mod-cookies:\n  - id: c\n    secret: [{written}]\n    badcookie-slip: 1\n"
    return Knot([PrimaryZone(ZONE, TEXT)], zone_options=["module: mod-cookies/c"], sections=section)


def xfer(secrets: list[str]) -> Xferd:
    """It has no zones: a question for a cookie alone says whether one is good."""
    written = ", ".join(f'"{secret}"' for secret in secrets)
    return Xferd(
        config='[server]\nlisten = ["{listen}"]\njournal = "{journal}"\ncontrol = "{control}"\n'
        f'nsid = "one"\ncookie_secret = [{written}]\n'
    )


def ask(server: Server, cookie: bytes) -> tuple[str, bytes]:
    """RCODE and cookie of the answer."""
    options: list[dns.edns.Option] = [dns.edns.CookieOption(cookie[:8], cookie[8:])]
    query = dns.message.make_query(ZONE, "SOA", use_edns=0, options=options)
    if isinstance(server, Xferd):
        query.question.clear()
    answer = dns.query.udp(query, server.address, timeout=5, port=server.port)
    (found,) = [option for option in answer.options if isinstance(option, dns.edns.CookieOption)]
    return dns.rcode.to_text(answer.rcode()), found.client + found.server


MAKES = {"bind": bind, "knot": knot, "xfer": xfer}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """Each has the new secret."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(make([NEW])) for name, make in MAKES.items()}


@pytest.mark.parametrize("checks", MAKES)
@pytest.mark.parametrize("makes", MAKES)
def test_a_cookie_of_one_is_good_at_the_other(
    servers: dict[str, Server], makes: str, checks: str
) -> None:
    _, cookie = ask(servers[makes], OWN)
    assert len(cookie) == 24
    assert ask(servers[checks], cookie)[0] == "NOERROR"
    spoilt = cookie[:-1] + bytes([cookie[-1] ^ 1])
    assert ask(servers[checks], spoilt)[0] == "BADCOOKIE"


@pytest.mark.parametrize("makes", ["bind", "knot"])
def test_a_cookie_of_the_old_secret_is_good_while_secrets_roll(
    servers: dict[str, Server], makes: str
) -> None:
    with MAKES[makes]([OLD]) as other, xfer([NEW, OLD]) as rolling:
        _, old = ask(other, OWN)
        code, renewed = ask(rolling, old)
        assert code == "NOERROR"
        assert renewed != old
        assert ask(servers[makes], renewed)[0] == "NOERROR"
        assert ask(servers["xfer"], old)[0] == "BADCOOKIE"


def test_a_reload_rolls_the_secret() -> None:
    with xfer([OLD]) as server:
        _, old = ask(server, OWN)
        text = server.config_file.read_text()
        server.config_file.write_text(text.replace(f'"{OLD}"', f'"{NEW}", "{OLD}"'))
        reloaded = server.cli("reload")
        assert reloaded.returncode == 0
        assert "restart" not in reloaded.stdout
        code, new = ask(server, old)
        assert (code, new != old) == ("NOERROR", True)

"""[dnssec_policy.NAME] and the zones that are signed by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from xfer.config import Config, ConfigErrors, load
from xfer.config_dnssec import DAY, HOUR, DenialChoice, DnssecPolicy, KeyLayout

HEAD = '[[peer]]\nname = "one"\naddress = "192.0.2.1"\n'
ZONE = '[[zone]]\nname = "a"\nprimaries = "one"\ndnssec = "live-signed"\n'


def loaded(directory: Path, text: str) -> Config:
    file = directory / "xfer.toml"
    file.write_text(text)
    return load(file)


def refusal(directory: Path, text: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        loaded(directory, text)
    return "\n".join(map(str, caught.value.errors))


def test_a_live_signed_zone_has_the_defaults_or_its_policy(tmp_path: Path) -> None:
    policy = (
        '[dnssec_policy.strict]\nalgorithm = "ed25519"\nkeys = "csk"\nzsk_lifetime = 0\n'
        'ksk_lifetime = "1y"\nsignature_validity = "1h30m"\nsignature_refresh = "20m"\n'
        'signature_jitter = 60\ndenial = "nsec3"\nnsec3_salt = "aabb"\n'
        'parent = ["192.0.2.53:53"]\n'
    )
    other = '[[zone]]\nname = "b"\nprimaries = "one"\ndnssec = "live-signed"\n'
    text = HEAD + ZONE + 'dnssec_policy = "strict"\n' + other + policy
    zones = loaded(tmp_path, text).zones
    strict = zones["a."].policy
    assert strict is not None
    assert (strict.algorithm, strict.keys) == (15, KeyLayout.CSK)
    assert strict.ksk_lifetime == 365 * DAY
    assert strict.signature_validity == 1.5 * HOUR
    assert (strict.denial, strict.nsec3_salt) == (DenialChoice.NSEC3, b"\xaa\xbb")
    assert [str(server) for server in strict.parent] == ["192.0.2.53:53"]
    assert zones["b."].policy == DnssecPolicy()
    assert zones["b."].signed_here


def test_a_policy_stays_with_a_zone_that_is_signed_no_more(tmp_path: Path) -> None:
    zone = ZONE.replace("live-signed", "unsigned")
    config = loaded(tmp_path, HEAD + zone + 'dnssec_policy = "p"\n[dnssec_policy.p]\n')
    assert config.zones["a."].policy == DnssecPolicy()
    assert not config.zones["a."].signed_here
    assert not config.zones["a."].signed_here


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("algorithm = 5", "algorithm: expected a DNSSEC algorithm, got 5; one of 8 RSASHA256"),
        ('algorithm = "RSASHA1"', "algorithm: expected a DNSSEC algorithm, got 'RSASHA1'"),
        ('nsec3_salt = "xyz"', "nsec3_salt: expected hexadecimal digits, got 'xyz'"),
        ('zsk_lifetime = "90 days"', "zsk_lifetime: expected a time from 0"),
        ("zsk_lifetime = -1", "zsk_lifetime: expected a time from 0"),
        ('zsk_lifetime = "1h"', "zsk_lifetime: 3600 s are too short to roll a key in"),
        ('signature_refresh = "14d"', "signature_refresh: signatures would be due as soon as"),
        ("nsec3_iterations = 51", "nsec3_iterations: expected a whole number from 0 to 50"),
        ('parent = "resolver.example"', "parent: expected ADDRESS:PORT"),
        ('denail = "nsec"', "did you mean 'denial'?"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, line: str, said: str) -> None:
    assert said in refusal(tmp_path, f"[dnssec_policy.p]\n{line}\n")


def test_a_policy_must_be_a_table_and_stand_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, "dnssec_policy = 3\n")
    assert "dnssec_policy: is not a table; write [dnssec_policy]" in said
    said = refusal(tmp_path, "[dnssec_policy]\np = 3\n")
    assert "dnssec_policy.p: is not a table; write [dnssec_policy.p]" in said

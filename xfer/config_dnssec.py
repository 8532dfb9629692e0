"""The keys of [dnssec_policy.NAME]: how zones are signed here, and how their keys roll."""

# ruff: noqa: RUF009 - `setting` is attrs.field with documentation

from __future__ import annotations

import enum
from pathlib import Path

import attrs

from xfer import config_parse as parse
from xfer.config_parse import Endpoint
from xfer.config_read import Unfit, setting

MINUTE = 60
HOUR = 3600
DAY = 86400
LONGEST = 100 * 366 * DAY


class KeyLayout(enum.Enum):
    """Which keys a zone has here: one for the DNSKEY RRset and one for the rest, one for both, or
    only one for the rest, where somebody else signs the DNSKEY RRset (RFC 8901 model 1)."""

    KSK_ZSK = "ksk-zsk"
    CSK = "csk"
    ZSK = "zsk"


class KskRollover(enum.Enum):
    """What comes first where a KSK is rolled: the new DNSKEY, or the new DS (RFC 7583 §3.3)."""

    DOUBLE_KSK = "double-ksk"
    DOUBLE_DS = "double-ds"


class DenialChoice(enum.Enum):
    """How a live-signed zone proves what it has not."""

    AUTO = "auto"
    NSEC = "nsec"
    NSEC3 = "nsec3"
    COMPACT = "compact"
    WHITE_LIES = "white-lies"


ALGORITHMS: dict[int, str] = {
    8: "RSASHA256",
    13: "ECDSAP256SHA256",
    14: "ECDSAP384SHA384",
    15: "ED25519",
    16: "ED448",
}
"""What zones may be signed with (RFC 8624 §3.1), by number."""


def algorithm(value: object, base: Path) -> int:
    """A DNSSEC algorithm, by number or mnemonic in any case."""
    if isinstance(value, int) and not isinstance(value, bool) and value in ALGORITHMS:
        return value
    if isinstance(value, str):
        for number, name in ALGORITHMS.items():
            if value.upper() == name or value == str(number):
                return number
    known = ", ".join(f"{number} {name}" for number, name in ALGORITHMS.items())
    raise Unfit(f"expected a DNSSEC algorithm, got {value!r}", f"one of {known}")


def salt(value: object, base: Path) -> bytes:
    """An NSEC3 salt in hexadecimal digits, "-" for none."""
    given = parse.text(value, base)
    try:
        octets = b"" if given == "-" else bytes.fromhex(given)
    except ValueError:
        raise Unfit(f"expected hexadecimal digits, got {given!r}", 'write "-" for none') from None
    if len(octets) > 255:
        raise Unfit(f"expected at most 255 octets of salt, got {len(octets)}", 'write "-" for none')
    return octets


@attrs.frozen
class DnssecPolicy:
    """[dnssec_policy.NAME]: how live-signed zones are signed; times are seconds, or text like
    "90d", "12h" or "1h30m"."""

    algorithm: int = setting(
        algorithm,
        "algorithm of all keys, number or mnemonic; another one than the keys have starts an "
        "algorithm rollover",
        13,
        '13 (`"ECDSAP256SHA256"`)',
    )
    rsa_bits: int = setting(parse.integer(2048, 4096), "size of RSA keys", 2048)
    keys: KeyLayout = setting(
        parse.member(KeyLayout),
        "ksk-zsk (a key that signs keys, and one for all else), csk (one for both) or zsk (one for "
        "all else: somebody else has the KSK, and hands in the DNSKEY RRset signed, "
        "`xfer dnssec import-dnskey`)",
        KeyLayout.KSK_ZSK,
    )
    ksk_lifetime: int = setting(
        parse.duration(0, LONGEST),
        "time until a KSK or CSK is rolled, which needs a new DS at the parent; 0: only by hand",
        0,
    )
    zsk_lifetime: int = setting(
        parse.duration(0, LONGEST), "time until a ZSK is rolled; 0: only by hand", 90 * DAY, '"90d"'
    )
    ksk_rollover: KskRollover = setting(
        parse.member(KskRollover),
        "double-ksk (both DNSKEYs for a while, and one change of the DS) or double-ds (both DS for "
        "a while, a smaller DNSKEY RRset, and two changes at the parent); CSKs, new algorithms and "
        "compromised keys always roll as double-ksk",
        KskRollover.DOUBLE_KSK,
    )
    dnskey_ttl: int = setting(
        parse.duration(0, 7 * DAY), "TTL of the DNSKEY, CDS and CDNSKEY records", HOUR, '"1h"'
    )
    signature_validity: int = setting(
        parse.duration(HOUR, 366 * DAY), "time for which signatures hold", 14 * DAY, '"14d"'
    )
    signature_refresh: int = setting(
        parse.duration(MINUTE, 366 * DAY),
        "signatures are made anew when they hold for less than that, and with them those that are "
        "due within the hour, so that a version renews many",
        5 * DAY,
        '"5d"',
    )
    signature_jitter: int = setting(
        parse.duration(0, 30 * DAY),
        "signatures hold for up to that much less, so that they do not end together",
        12 * HOUR,
        '"12h"',
    )
    signature_inception: int = setting(
        parse.duration(0, 7 * DAY),
        "signatures begin that long before they are made, for clocks that are behind",
        HOUR,
        '"1h"',
    )
    signatures_at_once: int = setting(
        parse.integer(1, 10_000_000),
        "signatures that are renewed in one version of the zone, the rest in the next",
        1000,
    )
    denial: DenialChoice = setting(
        parse.member(DenialChoice),
        "nsec, nsec3, compact (RFC 9824) or white-lies (NSEC3), the last two made as answers are, "
        "so that nobody may transfer the zone; auto: nsec where somebody may, else compact",
        DenialChoice.AUTO,
    )
    nsec3_iterations: int = setting(
        parse.integer(0, 50), "iterations of the NSEC3 hash; RFC 9276 wants 0", 0
    )
    nsec3_salt: bytes = setting(
        salt, 'salt of the NSEC3 hash in hexadecimal digits; RFC 9276 wants none, "-"', b"", '"-"'
    )
    nsec3_opt_out: bool = setting(
        parse.boolean, "leave insecure delegations out of the NSEC3 chain (RFC 5155 §6)", False
    )
    zonemd: bool = setting(
        parse.boolean,
        "publish a digest of the zone, ZONEMD (RFC 8976); each version then hashes the whole zone, "
        "0.5 s for a million records",
        False,
    )
    cds: bool = setting(
        parse.boolean,
        "publish CDS and CDNSKEY, so that the parent may take the DS from there (RFC 7344)",
        True,
    )
    parent: tuple[Endpoint, ...] = setting(
        parse.several(parse.endpoint),
        "the parent's servers, or a resolver, asked for the DS; empty: you confirm it by hand "
        "(`xfer dnssec ds-seen`)",
        (),
    )
    parent_check: int = setting(
        parse.duration(MINUTE, 7 * DAY),
        "time between two looks for a DS that is waited for",
        10 * MINUTE,
        '"10m"',
    )
    parent_ds_ttl: int = setting(
        parse.duration(0, 30 * DAY),
        "TTL of the DS at the parent, where it has not been seen to be more",
        DAY,
        '"1d"',
    )
    parent_propagation: int = setting(
        parse.duration(0, 30 * DAY),
        "time until all of the parent's servers have a change",
        HOUR,
        '"1h"',
    )
    propagation: int = setting(
        parse.duration(0, 30 * DAY),
        "time until all servers of the zone have a change, at least; where `secondaries` are seen "
        "to need longer, that counts",
        5 * MINUTE,
        '"5m"',
    )
    publish_safety: int = setting(
        parse.duration(0, 30 * DAY),
        "margin before a key that has been published is used",
        HOUR,
        '"1h"',
    )
    retire_safety: int = setting(
        parse.duration(0, 30 * DAY),
        "margin before a key that is used no more is taken out",
        HOUR,
        '"1h"',
    )

    def problems(self) -> list[tuple[str, str, str]]:
        """(key, problem, fix) of settings that do not go together."""
        found = []
        if self.signature_refresh + self.signature_jitter >= self.signature_validity:
            found.append(
                (
                    "signature_refresh",
                    "signatures would be due as soon as they are made",
                    "let signature_validity be more than signature_refresh and signature_jitter",
                )
            )
        shortest = 2 * (self.dnskey_ttl + self.propagation + self.publish_safety)
        for key in ("ksk_lifetime", "zsk_lifetime"):
            lifetime: int = getattr(self, key)
            if 0 < lifetime < shortest:
                found.append(
                    (
                        key,
                        f"{lifetime} s are too short to roll a key in",
                        f"write at least {shortest} s, twice dnskey_ttl, propagation and "
                        "publish_safety, or 0",
                    )
                )
        return found

"""The keys of [rrl]: response rate limiting, against floods of answers to forged addresses."""

from __future__ import annotations

import attrs

from xfer import config_parse as parse
from xfer.config_read import setting
from xfer.peers import IPNetwork


@attrs.frozen
class Rrl:
    """[rrl]: UDP answers to one network, each kind of answer by itself; TCP, valid cookies,
    signed requests and the addresses of peers are free."""

    responses_per_second: int = setting(
        parse.integer(0, 1_000_000),
        "answers of one kind (answer, no data, no such name, referral, error) a second to one "
        "network; 0: any number",
        0,
    )
    burst: float = setting(
        parse.seconds(1, 3600), "seconds' worth of answers that may go at once after a pause", 5.0
    )
    slip: int = setting(
        parse.integer(0, 100),
        "of that many answers above the limit, one goes out cut to nothing (TC, or BADCOOKIE to "
        "who sends a cookie; errors as they are), so that a real client comes back over TCP or "
        "with its cookie; 1: all of them, 0: none",
        2,
    )
    ipv4_prefix: int = setting(parse.integer(8, 32), "bits of an IPv4 network", 24)
    ipv6_prefix: int = setting(parse.integer(16, 128), "bits of an IPv6 network", 56)
    table_size: int = setting(
        parse.integer(1000, 10_000_000),
        "networks and kinds of answer that are counted at once; the one silent longest makes room",
        100_000,
    )
    exempt: tuple[IPNetwork, ...] = setting(
        parse.several(parse.network), "ranges that are not limited", ()
    )

"""The config as the parts of the server want it, and what of it only a restart applies."""

from __future__ import annotations

import attrs

from xfer.answer.cookies import Cookies
from xfer.answer.options import Offer
from xfer.config import Config, Limits
from xfer.journal import Retention
from xfer.server.notify import NotifyPolicy
from xfer.server.notify_exchange import NotifyTries
from xfer.server.pace import Paces
from xfer.server.probe import ProbePolicy
from xfer.server.pull import PullLimits
from xfer.server.rrl import Rates
from xfer.transfer.envelope import StreamLimits
from xfer.zone.check import Grade, Policy

#: Besides [server], what a reload leaves as it was at the start.
RESTART_LIMITS = (
    "control_body",
    "import_body",
    "parser_processes",
    "signing_processes",
    "tcp_clients",
    "tcp_idle_timeout",
    "udp_batch",
    "worker_threads",
)


#: What of [server] a reload applies.
LIVE = ("cookie_secret", "cookie_secret_file", "nsid")


def offer_of(config: Config, idle: float, secret: bytes) -> Offer:
    """The options of our OPT out of [server].

    idle: seconds a TCP connection is kept; secret: of cookies, where the config has none.
    """
    secrets = [secret.reveal() for secret in config.server.cookie_secret]
    return Offer(config.server.nsid.encode(), idle, Cookies(secrets or [secret]))


def rates_of(config: Config) -> Rates:
    """The rate limit of answers out of [rrl]; configured peers are free of it."""
    rrl = config.rrl
    rate = float(rrl.responses_per_second)
    return Rates(
        rate=rate,
        burst=max(rate * rrl.burst, 1.0),
        slip=rrl.slip,
        prefix4=rrl.ipv4_prefix,
        prefix6=rrl.ipv6_prefix,
        table=rrl.table_size,
        exempt=rrl.exempt,
        peers=frozenset(peer.address for peer in config.peers.values()),
    )


def pull_limits(limits: Limits) -> PullLimits:
    """The limits of incoming transfers out of [limits]."""
    return PullLimits(
        connect=limits.connect_timeout,
        idle=limits.idle_timeout,
        total=limits.total_timeout,
        min_rate=limits.min_rate,
        stream=StreamLimits(
            octets=limits.max_zone_bytes,
            records=limits.max_zone_records,
            messages=limits.max_message_count,
        ),
    )


def notify_policy(limits: Limits) -> NotifyPolicy:
    """The limits of outgoing NOTIFYs out of [limits]."""
    return NotifyPolicy(
        tries=NotifyTries(limits.notify_timeout, limits.notify_attempts, limits.connect_timeout),
        ladder=limits.notify_ladder or (limits.notify_give_up,),
        give_up=limits.notify_give_up,
        total=limits.notifies_out,
        each=limits.notifies_out_per_peer,
    )


def probe_policy(limits: Limits) -> ProbePolicy:
    """The limits of SOA queries to secondaries out of [limits]."""
    return ProbePolicy(limits.probe_ladder, limits.probes_out, limits.probe_rate)


def paces(limits: Limits) -> Paces:
    """How fast scheduled checks go, out of [limits]."""
    return Paces(
        rate=float(limits.soa_rate),
        rate_each=float(limits.soa_rate_per_peer),
        at_once=limits.soa_checks,
        at_once_each=limits.soa_checks_per_peer,
    )


def policy_of(config: Config) -> Policy:
    """The zone checks' grades out of [checks]."""
    return Policy({rule: Grade(grade) for rule, grade in config.checks.items()})


def retention(limits: Limits) -> Retention:
    """How much history each zone keeps, out of [limits]."""
    return Retention(
        versions=limits.keep_versions,
        share=limits.journal_share,
        floor=limits.journal_floor,
        age=limits.keep_age,
    )


def restart_keys(running: Config, wanted: Config) -> tuple[str, ...]:
    """The keys whose new values only a restart applies."""
    keys = [
        ("server", field.name)
        for field in attrs.fields(type(running.server))
        if field.name not in LIVE
    ]
    keys += [("limits", name) for name in RESTART_LIMITS]
    return tuple(
        f"{table}.{name}"
        for table, name in keys
        if getattr(getattr(running, table), name) != getattr(getattr(wanted, table), name)
    )

"""The config file: what it becomes, and that every mistake is named with its file, key and fix."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from xfer.config import Config, ConfigErrors, load
from xfer.config_keys import Dnssec, Role
from xfer.config_socket import control_path
from xfer.errors import ConfigError, JournalError
from xfer.journal import Retention
from xfer.journal.sqlite import path_of
from xfer.peers import Action
from xfer.server.settings import retention
from xfer.wire.tsig import HMAC_SHA256_128
from xfer.zone.check import Grade

SECRET = "c2l4dGVlbiBvY3RldHMgYW5kIG1vcmU="
DESIGN = f"""
[server]
listen  = ["127.0.0.1:5300", "[::1]:5300"]
journal = "sqlite:///var/lib/xfer/journal.db"
control = "/run/xfer/control.sock"

[[tsig]]
name = "k1."
algorithm = "hmac-sha256"
secret = "{SECRET}"

[[acl]]
name = "office"
ip_range = "192.0.2.0/24"

[[peer]]
name = "hidden-primary"
address = "192.0.2.1"
port = 53
tsig = "k1."
ixfr = true

[[peer]]
name = "public-1"
address = "2001:db8::1"
source = "2001:db8::2"

[[zone]]
name = "example.com"
role = "secondary"
primaries = ["hidden-primary"]
secondaries = ["public-1"]
allow_notify = ["office"]
allow_transfer = ["office"]
allow_query = ["office"]
refresh = 300
dnssec = "unsigned"
"""
PEER = '[[peer]]\nname = "one"\naddress = "192.0.2.1"\n'


def write(tmp_path: Path, text: str, name: str = "xfer.toml") -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def loaded(tmp_path: Path, text: str) -> Config:
    return load(write(tmp_path, text))


def problems(tmp_path: Path, text: str) -> list[str]:
    """Each error as "key: problem; fix"."""
    with pytest.raises(ConfigErrors) as caught:
        loaded(tmp_path, text)
    prefix = f"{tmp_path}/xfer.toml: "
    return [str(error).removeprefix(prefix) for error in caught.value.errors]


def test_the_example_of_the_design_loads(tmp_path: Path) -> None:
    config = loaded(tmp_path, DESIGN)
    assert [str(item) for item in config.server.listen] == ["127.0.0.1:5300", "[::1]:5300"]
    zone = config.zones["example.com."]
    assert zone.origin == b"\x07example\x03com\x00"
    assert zone.role is Role.SECONDARY
    assert zone.dnssec is Dnssec.UNSIGNED
    assert zone.refresh == 300
    primary = zone.primaries[0]
    assert str(primary) == "hidden-primary 192.0.2.1#53"
    assert primary.key is config.tsig[b"\x02k1\x00"]
    assert zone.secondaries[0].source is not None
    assert zone.allow_transfer[0].entries[0].action is Action.ALLOW
    assert [acl.name for acl in zone.allow_query] == ["office"]
    assert config.warnings == ()


def test_an_empty_file_is_a_daemon_without_zones(tmp_path: Path) -> None:
    config = loaded(tmp_path, "")
    assert config.zones == {}
    assert config.server.journal == "sqlite:///var/lib/xfer/journal.db"
    assert config.limits.connect_timeout == 10.0


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    text = """
[server]
listn = 1
[limits]
tcp_clients = 0
[[peer]]
name = "a"
port = 65536
[[zone]]
name = "ok"
primaries = ["b"]
dnssec = "pre-singed"
"""
    assert problems(tmp_path, text) == [
        "server.listn: unknown key; did you mean 'listen'?",
        "limits.tcp_clients: expected a whole number from 1 to 100000, got 0; "
        "write one in that range",
        "peer[a].port: expected a whole number from 1 to 65535, got 65536; write one in that range",
        "peer[a]: address is missing; add address = …",
        "zone[ok].dnssec: expected one of unsigned, pre-signed, live-signed, got 'pre-singed'; "
        "did you mean 'pre-signed'?",
        "zone[ok].primaries: there is no [[peer]] b; known: a",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[sever]\n", "sever: unknown table or key; did you mean 'server'?"),
        ("[[server]]\n", "server: is not a table; write [server]"),
        ("[zone]\n", "zone: is not a list of tables; write [[zone]]"),
        ('[api]\nlisten = "127.0.0.1:8053"\n', "api: the REST API over TCP comes with a later"),
        ('[server]\nlisten = "127.0.0.1"\n', "server.listen: expected ADDRESS:PORT"),
        ('[server]\nlisten = "127.0.0.1:0"\n', "server.listen: expected ADDRESS:PORT"),
        ('[server]\nlog_level = "loud"\n', "server.log_level: expected one of debug, info"),
        (
            '[server]\njournal = "postgresql+psycopg://u@h/db"\n',
            "server.journal: a PostgreSQL journal comes with a later version",
        ),
        (
            '[server]\njournal = "mysql://h/db"\n',
            "server.journal: expected a journal like 'sqlite:///var/lib/xfer/journal.db', "
            "got the scheme 'mysql'",
        ),
        ('[limits]\njournal_share = "2"\n', "limits.journal_share: expected a number from 0 to"),
        ("[limits]\nidle_timeout = true\n", "limits.idle_timeout: expected seconds, got true"),
        ('[limits]\nimage_memory = "1 XB"\n', "limits.image_memory: expected a size of at least"),
        ('[checks]\napex-sao = "warn"\n', "checks.apex-sao: unknown check; did you mean 'apex-soa"),
        ('[checks]\napex-soa = "warn"\n', "checks.apex-soa: expected one of reject, got 'warn'"),
        (
            '[[tsig]]\nname = "k"\nsecret = "not base64!"\n',
            "tsig[k].secret: the secret is not base64",
        ),
        ('[[tsig]]\nname = "k"\n', "tsig[k]: secret is missing; give either secret or secret_file"),
        ('[[tsig]]\nname = "k"\nsecret = " "\n', "tsig[k].secret: the secret is empty"),
        (
            f'[[tsig]]\nname = "k"\nalgorithm = "hmac-sha265"\nsecret = "{SECRET}"\n',
            "tsig[k].algorithm: unknown algorithm 'hmac-sha265'; did you mean 'hmac-sha256'?",
        ),
        (
            '[[tsig]]\nname = "k"\nsecret_file = "none"\n',
            "tsig[k].secret_file: {dir}/none: No such file or directory",
        ),
        (f'[[tsig]]\nname = "a..b"\nsecret = "{SECRET}"\n', "tsig[a..b].name: is no domain name"),
        (
            f'[[tsig]]\nname = "k"\nsecret = "{SECRET}"\n' * 2,
            "tsig[k]: key k. is there twice; rename one of them",
        ),
        (PEER * 2, "peer[one]: peer one is there twice; rename one of them"),
        (PEER + 'tsig = "k3"\n', "peer[one].tsig: there is no [[tsig]] k3."),
        (PEER + 'source = "::1"\n', "peer[one].source: ::1 cannot reach 192.0.2.1"),
        (PEER + "unsigned_messages = 100\n", "peer[one].unsigned_messages: expected a whole numb"),
        ('[[peer]]\nname = "x"\naddress = "ns.example"\n', "peer[x].address: expected an IPv4 or"),
        ('[[acl]]\nname = "a"\n', "acl[a]: ip_range is missing"),
        ('[[acl]]\nname = "a"\nip_range = "1.2.3"\n', "acl[a].ip_range: expected an address range"),
        ('[[acl]]\nname = "a"\naction = "key-only"\n', "acl[a]: a key-only entry has a key and no"),
        ('[[zone]]\nname = "a"\n', "zone[a]: a secondary zone needs primaries"),
        ('[[zone]]\nname = "a"\nrole = "primary"\n', "zone[a]: a primary zone needs its zone file"),
        ('[[zone]]\nname = "a"\ntemplate = "t"\n', "zone[a].template: there is no [template.t]"),
        (
            PEER + '[[zone]]\nname = "a"\nprimaries = ["one", "one"]\n',
            "zone[a].primaries: one is there twice; name it once",
        ),
        (
            PEER + '[[zone]]\nname = "A."\nprimaries = "one"\n' * 2,
            "zone[A.]: zone a. is there twice",
        ),
        (
            PEER + '[[zone]]\nname = "a"\nprimaries = "one"\nfile = "x"\n',
            "zone[a].file: a secondary zone has no file",
        ),
        (
            PEER + '[[zone]]\nname = "a"\nprimaries = "one"\ndnssec_policy = "strict"\n',
            "zone[a].dnssec_policy: there is no [dnssec_policy.strict]",
        ),
        ('[[zones_from]]\nfile = "none"\n', "zones_from[1].file: cannot be read"),
        ('include = "none.toml"\n', "include: none.toml does not exist"),
        ('include = "*.toml"\n', "include: includes go in a circle: xfer.toml → xfer.toml"),
        ("a = \n", "is not TOML: Invalid value (at line 1, column 5); mend the syntax there"),
        ("a = " + "[" * 5000, "has values nested a thousand deep; two levels are enough"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_fix(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert found[0].startswith(expected.replace("{dir}", str(tmp_path))), found
    assert len(found) <= 2


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load(tmp_path / "none.toml")


def test_more_than_thirty_peers_are_refused(tmp_path: Path) -> None:
    peers = "".join(f'[[peer]]\nname = "p{n}"\naddress = "192.0.2.{n}"\n' for n in range(1, 32))
    names = ", ".join(f'"p{n}"' for n in range(1, 32))
    text = f'{peers}[[zone]]\nname = "a"\nprimaries = [{names}]\n'
    assert problems(tmp_path, text) == ["zone[a].primaries: 31 peers are more than 30; link fewer"]


def test_secrets_never_print(tmp_path: Path) -> None:
    config = loaded(tmp_path, DESIGN)
    assert SECRET not in repr(config)
    assert "sixteen octets" not in repr(config)
    with pytest.raises(ConfigErrors) as caught:
        loaded(tmp_path, '[[tsig]]\nname = "k"\nsecret = "hunter2-is-no-base64!"\n')
    assert "hunter2" not in str(caught.value)


def test_a_secret_file_is_read_and_its_mode_watched(tmp_path: Path) -> None:
    secret = write(tmp_path, SECRET + "\n", "k1.secret")
    text = '[[tsig]]\nname = "K1"\nalgorithm = "hmac-sha256-128"\nsecret_file = "k1.secret"\n'
    config = loaded(tmp_path, text)
    assert config.warnings == ()
    key = config.tsig[b"\x02k1\x00"]
    assert key.secret == b"sixteen octets and more"
    assert key.algorithm is HMAC_SHA256_128
    secret.chmod(0o644)
    warning = str(loaded(tmp_path, text).warnings[0])
    assert "everyone on this machine can read the secret: chmod o-r" in warning


def test_a_short_secret_is_warned_about(tmp_path: Path) -> None:
    config = loaded(tmp_path, '[[tsig]]\nname = "k"\nsecret = "c2hvcnQ="\n')
    assert "the secret has 5 octets" in str(config.warnings[0])


def test_rolling_keys_keep_their_order(tmp_path: Path) -> None:
    keys = "".join(f'[[tsig]]\nname = "{n}"\nsecret = "{SECRET}"\n' for n in ("new", "old"))
    peer = loaded(tmp_path, keys + PEER + 'tsig = ["new", "old."]\n').peers["one"]
    assert [key.name for key in peer.keys] == [b"\x03new\x00", b"\x03old\x00"]
    assert peer.key is peer.keys[0]


def test_access_list_tables_of_one_name_follow_each_other(tmp_path: Path) -> None:
    text = f"""
[[tsig]]
name = "k"
secret = "{SECRET}"
[[acl]]
name = "a"
ip_range = "192.0.2.66"
action = "deny"
[[acl]]
name = "a"
ip_range = ["192.0.2.77/24", "2001:db8::/64"]
[[acl]]
name = "a"
action = "key-only"
key = "k"
"""
    entries = loaded(tmp_path, text).acls["a"].entries
    assert [(entry.action.value, str(entry.network)) for entry in entries] == [
        ("deny", "192.0.2.66/32"),
        ("allow", "192.0.2.0/24"),
        ("allow", "2001:db8::/64"),
        ("key-only", "None"),
    ]


def test_defaults_and_templates_are_overridden_in_that_order(tmp_path: Path) -> None:
    text = f"""
{PEER}
[defaults]
refresh = 100
dnssec = "pre-signed"
[template.t]
primaries = ["one"]
refresh = 200
[[zone]]
name = "a"
template = "t"
[[zone]]
name = "b"
template = "t"
refresh = 300
"""
    zones = loaded(tmp_path, text).zones
    assert (zones["a."].refresh, zones["b."].refresh) == (200, 300)
    assert zones["a."].dnssec is Dnssec.PRE_SIGNED


def test_included_files_add_up_and_name_themselves_in_errors(tmp_path: Path) -> None:
    write(tmp_path, '[[zone]]\nname = "a"\nprimaries = "one"\n', "zones.d/a.toml")
    write(tmp_path, '[[zone]]\nname = "b"\nprimaries = "two"\n', "zones.d/b.toml")
    top = write(tmp_path, 'include = "zones.d/*.toml"\n' + PEER)
    with pytest.raises(ConfigErrors) as caught:
        load(top)
    assert [error.file for error in caught.value.errors] == [str(tmp_path / "zones.d/b.toml")]
    write(tmp_path, '[[zone]]\nname = "b"\nprimaries = "one"\n', "zones.d/b.toml")
    zones = load(top).zones
    assert list(zones) == ["a.", "b."]
    assert zones["b."].declared_in == tmp_path / "zones.d/b.toml"


def test_a_zone_list_makes_zones_of_a_template(tmp_path: Path) -> None:
    write(tmp_path, "# ours\nExample.com\nbücher.example.\n\nodd\\046name\n", "zones.txt")
    text = """
[template.t]
role = "primary"
file = "zones/{zone}.db"
[[zones_from]]
file = "zones.txt"
template = "t"
"""
    zones = loaded(tmp_path, text).zones
    assert list(zones) == ["example.com.", "odd\\.name.", "xn--bcher-kva.example."]
    assert zones["example.com."].file == tmp_path / "zones/example.com.db"
    write(tmp_path, "ok\n-..-\nok\n", "zones.txt")
    found = problems(tmp_path, text)
    assert f"{tmp_path}/zones.txt: line 2: expected labels that are not empty" in found[0]
    assert f"{tmp_path}/zones.txt: line 3: zone ok. is there twice" in found[1]


def test_a_hundred_thousand_zones_load_in_seconds_and_share_their_links(tmp_path: Path) -> None:
    lines = "".join(f"zone{number}.example\n" for number in range(100_000))
    write(tmp_path, lines, "zones.txt")
    text = PEER + '[defaults]\nprimaries = ["one"]\n[[zones_from]]\nfile = "zones.txt"\n'
    start = time.process_time()
    zones = loaded(tmp_path, text).zones
    assert time.process_time() - start < 8.0  # 1 s on an idle machine
    assert len(zones) == 100_000
    assert zones["zone1.example."].primaries is zones["zone99999.example."].primaries


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("sqlite:///a/b.db", "/a/b.db"),
        ("sqlite:////a/b.db", "/a/b.db"),
        ("/a/b.db", "/a/b.db"),
        ("sqlite:a/b.db", "{here}/a/b.db"),
        ("a/b.db", "{here}/a/b.db"),
    ],
)
def test_the_config_and_the_journal_read_its_place_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, path: str
) -> None:
    path = path.format(here=tmp_path)
    config = loaded(tmp_path, f'[server]\njournal = "{given}"\n')
    assert config.server.journal == f"sqlite://{path}"
    assert str(path_of(config.server.journal)) == path
    monkeypatch.chdir(tmp_path)
    assert str(path_of(given).absolute()) == path


@pytest.mark.parametrize(
    "given", ["sqlite://a/b.db", "sqlite:/a", "sqlite:///", "sqlite:", "sqlite:///:memory:"]
)
def test_what_names_no_journal_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.journal: expected a (journal|file)"):
        loaded(tmp_path, f'[server]\njournal = "{given}"\n')
    with pytest.raises(JournalError, match=r"expected a (journal|file)"):
        path_of(given)


def test_the_journal_keeps_by_default_what_the_config_says(tmp_path: Path) -> None:
    assert retention(loaded(tmp_path, "").limits) == Retention()
    text = "[limits]\nkeep_versions = 3\njournal_share = 0.5\njournal_floor = 0\n"
    assert retention(loaded(tmp_path, text).limits) == Retention(3, 0.5, 0)


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    text = '[server]\njournal = "j/journal.db"\ncontrol = "run/control.sock"\n'
    config = loaded(tmp_path, text)
    assert config.server.journal == f"sqlite://{tmp_path}/j/journal.db"
    assert config.server.control == tmp_path / "run/control.sock"
    assert control_path(tmp_path / "xfer.toml") == config.server.control


def test_checks_become_a_policy(tmp_path: Path) -> None:
    policy = loaded(tmp_path, '[checks]\napex-ns = "warn"\n').policy
    assert policy.grades["apex-ns"] is Grade.WARN
    assert policy.grades["apex-soa"] is Grade.REJECT


def test_sizes_take_units(tmp_path: Path) -> None:
    config = loaded(tmp_path, '[limits]\nimage_memory = "64 MiB"\nmax_zone_bytes = 4096\n')
    assert config.limits.image_memory == 64 << 20
    assert config.limits.max_zone_bytes == 4096

"""The routes of signing, over a real core: values, refusals, bad input, and nothing private."""

from __future__ import annotations

import http.client
import io
import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog

from tests.control import primary
from tests.server.test_dnssec_orders import files_of, secret_words
from xfer.server.core import Core

CONFIG = """
[dnssec_policy.quick]
propagation = 0
publish_safety = 0
retire_safety = 0
dnskey_ttl = 0
parent_propagation = 0
parent_ds_ttl = 0
[[zone]]
name = "example.com"
role = "primary"
file = "zone"
dnssec = "live-signed"
dnssec_policy = "quick"
[[zone]]
name = "plain.example"
role = "primary"
file = "plain"
"""
ZONE = primary.ZONE.replace("$TTL 300", "$TTL 0").replace("604800 300", "604800 0")


@attrs.frozen
class Api:
    """A running core, and what it answers."""

    core: Core
    path: Path
    answers: list[str]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("xfer")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.path))
        try:
            data = None if body is None else json.dumps(body)
            connection.request(
                method, "/xfer/v1" + path, data, {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            text = response.read().decode()
            self.answers.append(text)
            return response.status, json.loads(text)
        finally:
            connection.close()

    def get(self, rest: str = "", status: int = 200) -> Any:
        got, answer = self.ask("GET", f"/zones/example.com/dnssec{rest}")
        assert got == status, answer
        return answer

    def order(self, rest: str, status: int = 200, **body: object) -> Any:
        got, answer = self.ask("POST", f"/zones/example.com/dnssec/{rest}", body)
        assert got == status, answer
        return answer if status == 200 else answer["error"]["message"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    config = primary.write(tmp_path, CONFIG, zone=ZONE)
    (tmp_path / "plain").write_text(ZONE)
    text = config.read_text()
    config.write_text(text.replace("[server]\n", f'[server]\nkeys = "{tmp_path}/keys"\n', 1))
    with primary.running(config) as core:
        yield Api(core, tmp_path / "control.sock", [])


def test_status_names_every_key_and_its_zone_has_it_too(api: Api) -> None:
    found = api.get()
    assert (found["mode"], found["state"], found["signed"]) == ("live-signed", "pending", True)
    assert [key["role"] for key in found["keys"]] == ["ksk", "zsk"]
    assert found["keys"][0]["dnskey"] in ("rumoured", "omnipresent")
    _, zone = api.ask("GET", "/zones/example.com")
    assert [key["ident"] for key in zone["dnssec"]["keys"]] == [
        key["ident"] for key in found["keys"]
    ]
    _, page = api.ask("GET", "/zones")
    assert [zone["dnssec"] is None for zone in page["zones"]] == [False, True]
    status, plain = api.ask("GET", "/zones/plain.example/dnssec")
    assert (status, plain["mode"], plain["state"]) == (200, "unsigned", None)


def test_records_come_as_lines_and_as_fields(api: Api) -> None:
    (ds,) = api.get("/ds?every=true")["records"]
    assert ds["line"] == f"example.com. IN DS {ds['text']}"
    assert set(ds["fields"]) == {
        "key_tag", "algorithm", "algorithm_name", "digest_type", "digest_name", "digest",
    }  # fmt: skip
    assert len(api.get("/ds?every=true&digest=4")["records"][0]["fields"]["digest"]) == 96
    assert [record["role"] for record in api.get("/zsk")["records"]] == ["zsk"]
    assert sorted(record["role"] for record in api.get("/dnskey")["records"]) == ["ksk", "zsk"]


def test_an_order_may_be_looked_at_and_is_refused_with_what_comes_first(api: Api) -> None:
    looked = api.order("disable", dry_run=True, by="somebody")
    assert (looked["dry_run"], looked["did"]) == (True, "disable DNSSEC")
    assert api.get()["state"] == "pending"
    refused = api.order("delete", 409)
    assert refused == "cannot take DNSSEC out of the zone: it is pending; `xfer dnssec disable` it"
    assert api.order("disable")["dnssec"]["state"] in ("disabled", "pending-disabled")
    assert api.order("disable", cancel=True)["dnssec"]["state"] == "pending"
    assert api.order("roll", what="zsk")["did"] == "roll the zsk"


def keys_of(api: Api) -> list[tuple[object, ...]]:
    """What does not change by itself."""
    return [(key["ident"], key["goal"], key["compromised"]) for key in api.get()["keys"]]


@pytest.mark.parametrize(
    ("method", "rest", "body", "status", "sentence"),
    [
        ("GET", "/ds?digest=1", None, 422, "a digest type of 2 (SHA-256) or 4 (SHA-384), got 1"),
        ("GET", "/ds?digest=x", None, 422, "query.digest: Input should be a valid integer"),
        ("GET", "/none", None, 404, "Not Found"),
        ("POST", "/roll", {"what": "dsk"}, 422, "what: Input should be 'ksk', 'zsk', 'csk' or"),
        ("POST", "/roll", {}, 422, "what: Field required"),
        ("POST", "/roll", {"what": "csk"}, 409, "the policy has ksk and zsk"),
        ("POST", "/roll", {"what": "ksk", "compromised": True, "key": "7"}, 404, "has no key '7'"),
        ("POST", "/remove-key", {"key": "x" * 101}, 422, "at most 100 characters"),
        ("POST", "/remove-key", {"key": "../../etc"}, 404, "has no key '../../etc'"),
        ("POST", "/ds-seen", {"keys": ["1"] * 101}, 422, "at most 100 items"),
        ("POST", "/ds-seen", {"wat": 1}, 422, "wat: Extra inputs are not permitted"),
        ("POST", "/import", {"files": []}, 422, "at least 1 item"),
        ("POST", "/import", {"files": ["relative"]}, 422, "an absolute path of printable"),
        ("POST", "/import", {"files": ["/etc/passwd"]}, 422, "expected a key file that can be"),
        ("POST", "/import", {"files": ["/dev/zero"]}, 422, "expected a key file"),
        ("POST", "/import", {"files": ["/a\u0000b"]}, 422, "an absolute path of printable"),
        ("POST", "/export", {"directory": "here"}, 422, "an absolute path of printable"),
        ("POST", "/export", {"directory": "/proc/nowhere/x"}, 422, "a directory of keys that can"),
        ("POST", "/enable", None, 409, "it is pending already"),
        ("POST", "/ds-gone", [], 422, "valid dictionary"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    api: Api, method: str, rest: str, body: object, status: int, sentence: str
) -> None:
    before = keys_of(api)
    got, answer = api.ask(method, f"/zones/example.com/dnssec{rest}", body)
    message = answer["error"]["message"]
    assert (got, sentence in message) == (status, True), message
    assert "\n" not in message
    assert keys_of(api) == before


def test_a_zone_that_is_not_signed_here_says_so(api: Api) -> None:
    status, answer = api.ask("POST", "/zones/plain.example/dnssec/disable", {})
    assert status == 409
    assert 'write dnssec = "live-signed" in its config' in answer["error"]["message"]
    assert api.ask("GET", "/zones/none.example/dnssec")[0] == 404


def test_private_keys_leave_to_files_and_neither_answers_nor_logs_have_them(
    api: Api, tmp_path: Path
) -> None:
    logged = io.StringIO()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(0),
        logger_factory=structlog.PrintLoggerFactory(logged),
    )
    file = files_of(tmp_path / "in", "example.com.", sep=True)
    api.get()
    api.get("/ds?every=true")
    api.get("/dnskey")
    api.get("/zsk")
    api.ask("GET", "/zones/example.com")
    api.order("import", files=[str(file)])
    done = api.order("export", directory=str(tmp_path / "out"))
    assert len(done["files"]) >= 6
    assert {stat.S_IMODE(Path(name).stat().st_mode) for name in done["files"]} == {0o600}
    broken = files_of(tmp_path / "in", "example.com.", sep=False)
    private = broken.with_suffix(".private")
    private.write_text(private.read_text() + "PrivateKey: again\n")
    assert "each field once" in api.order("import", 422, files=[str(broken)])
    api.order("export", 422, directory=str(tmp_path / "out"))
    api.order("roll", what="zsk", compromised=True)
    secrets = {
        word for place in ("keys", "in", "out") for word in secret_words(tmp_path / place)
    } - {"again"}
    assert len(secrets) >= 4
    everything = "\n".join(api.answers) + logged.getvalue()
    assert "dnssec order" in logged.getvalue()
    assert not [word for word in secrets if word in everything]

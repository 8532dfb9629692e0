"""Events reach the stream as JSON lines or text, and secrets never do."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import structlog

from xfer import log
from xfer.wire.tsig import HMAC_SHA256, Key


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def events(level: str = "info") -> tuple[io.StringIO, structlog.stdlib.BoundLogger]:
    out = io.StringIO()
    log.setup(level, "auto", out, cache=False)
    return out, structlog.get_logger()


@attrs.frozen
class Holder:
    secret_thing: log.Secret
    other: int = 3


KEY = Key(b"\x02k1\x00", HMAC_SHA256, b"hunter2hunter2hunter2")
SECRETS = [
    log.Secret(b"hunter2"),
    KEY,
    KEY.secret,
    [KEY],
    {"any": log.Secret(b"hunter2")},
    (log.Secret(b"hunter2"),),
    Holder(log.Secret(b"hunter2")),
    bytearray(b"hunter2"),
]


@pytest.mark.parametrize("value", SECRETS, ids=lambda value: type(value).__name__)
def test_secrets_are_redacted_by_type_under_any_name(value: object) -> None:
    out, logger = events()
    logger.info("transfer", harmless_name=value)
    assert "hunter2" not in out.getvalue()
    assert json.loads(out.getvalue())["event"] == "transfer"


@pytest.mark.parametrize("make", [str, repr, "{}".format])
def test_a_secret_does_not_print(make: object) -> None:
    assert callable(make)
    assert make(log.Secret(b"hunter2")) == "<secret>"


def test_a_line_is_json_when_the_stream_is_no_terminal() -> None:
    out, logger = events()
    logger.info("published", zone="example.com.", serial=7, file=Path("/x"), ok=True)
    line = json.loads(out.getvalue())
    assert line["level"] == "info"
    assert (line["zone"], line["serial"], line["file"], line["ok"]) == (
        "example.com.",
        7,
        "/x",
        True,
    )
    assert line["timestamp"].endswith("Z")


def test_levels_below_the_set_one_are_left_out() -> None:
    out, logger = events("warning")
    logger.info("quiet")
    logger.warning("loud")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["loud"]


def test_a_traceback_comes_without_locals() -> None:
    for form in ("json", "console"):
        out = io.StringIO()
        log.setup("info", form, out, cache=False)
        try:
            secret = "".join(["hun", "ter2"])
            raise RuntimeError(f"no {len(secret)}")
        except RuntimeError:
            structlog.get_logger().exception("failed")
        assert "RuntimeError: no 7" in out.getvalue()
        assert "hunter2" not in out.getvalue()


def test_base64_that_is_none_is_not_echoed() -> None:
    with pytest.raises(ValueError, match="not base64") as caught:
        log.Secret.from_base64("hunter2!")
    assert "hunter2" not in str(caught.value)

"""TSIG keys on the command line and in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from xfer.cli.keys import KeyUsage, key_of_file, key_of_triple
from xfer.wire.tsig import HMAC_SHA256, HMAC_SHA512, Key

SECRET = "c2l4//RlZW4gb2N0ZXRzIGFuZCBtb3Jl"
KEY = Key.from_text("k1.", "hmac-sha512", SECRET)


@pytest.mark.parametrize(
    "text",
    [f"k1:hmac-sha512:{SECRET}", f"K1.:HMAC-SHA512:{SECRET}", f"hmac-sha512:k1.:{SECRET}"],
    ids=["ours", "other case", "as dig -y"],
)
def test_a_key_in_one_word(text: str) -> None:
    assert key_of_triple(text) == KEY


def test_without_algorithm_it_is_hmac_sha256() -> None:
    assert key_of_triple(f"k1:{SECRET}").algorithm is HMAC_SHA256


@pytest.mark.parametrize(
    "text",
    [
        f'key "k1" {{\n\talgorithm hmac-sha512;\n\tsecret "{SECRET}";\n}};\n',
        f'# made\nkey k1. {{ secret {SECRET}; algorithm "hmac-sha512"; }};',
        f'/* a key\n */ key "k1." {{ // here\n algorithm HMAC-SHA512; secret "{SECRET}"; }};',
        f"k1:hmac-sha512:{SECRET}\n",
    ],
    ids=["tsig-keygen", "one line", "comments", "triple"],
)
def test_a_key_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "k.key"
    path.write_text(text)
    key = key_of_file(path)
    assert key == KEY
    assert key.algorithm is HMAC_SHA512


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected one key block, got 0"),
        (
            'key "a" { secret "eHh4"; }; key "b" { secret "eHh4"; };',
            "expected one key block, got 2",
        ),
        ('key "a" { algorithm hmac-sha256; };', "expected secret"),
        ('key "a" { secret "hunter2!"; };', "expected the secret in base64"),
        ('key "a" { algorithm rot13; secret "eHh4"; };', "expected a TSIG algorithm"),
        ('key "a..b" { secret "eHh4"; };', "expected labels that are not empty"),
    ],
)
def test_a_bad_key_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "k.key"
    path.write_text(text)
    with pytest.raises(KeyUsage) as caught:
        key_of_file(path)
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyUsage, match="cannot be read: No such file or directory"):
        key_of_file(tmp_path / "none")

"""Configurations of xfer for the lab: between two servers, or as the primary itself.

Any loopback address may transfer with the key, so that `dig` and `xfer pull` may be tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bindlab import TsigKey


def _key(key: TsigKey) -> str:
    return (
        f'[[tsig]]\nname = "{key.name}."\nalgorithm = "{key.algorithm}"\nsecret = "{key.secret}"\n'
    )


def _peer(name: str, at: tuple[str, int], source: str, key: TsigKey) -> str:
    return (
        f'[[peer]]\nname = "{name}"\naddress = "{at[0]}"\nport = {at[1]}\n'
        f'source = "{source}"\ntsig = "{key.name}."\n'
    )


def _server(directory: Path, listen: tuple[str, int]) -> str:
    return (
        f'[server]\nlisten = ["{listen[0]}:{listen[1]}"]\n'
        f'journal = "sqlite://{directory}/journal.db"\n'
        f'control = "{directory}/control.sock"\n'
        '\n[[acl]]\nname = "here"\nip_range = "127.0.0.0/8"\n'
    )


def middle_toml(
    directory: Path,
    listen: tuple[str, int],
    origins: Sequence[str],
    primary: tuple[tuple[str, int], TsigKey],
    secondary: tuple[tuple[str, int], TsigKey] | None,
) -> str:
    """xfer.toml: secondary of one server, primary of the other; journal and socket in `directory`.

    primary, secondary: ((address, port), key), another key on each hop; no secondary: None.
    """
    parts = [
        _server(directory, listen),
        _key(primary[1]),
        _peer("primary", primary[0], listen[0], primary[1]),
    ]
    if secondary is not None:
        parts += [_key(secondary[1]), _peer("secondary", secondary[0], listen[0], secondary[1])]
    parts += [
        f'[[zone]]\nname = "{origin}"\nrole = "secondary"\nprimaries = ["primary"]\n'
        + ('secondaries = ["secondary"]\n' if secondary else "")
        + 'allow_transfer = ["here"]\n'
        for origin in origins
    ]
    return "\n".join(parts)


def primary_toml(
    directory: Path,
    listen: tuple[str, int],
    origin: str,
    secondary: tuple[tuple[str, int], TsigKey],
) -> str:
    """xfer.toml of a primary that serves `directory`/zone.db to one secondary."""
    parts = [
        _server(directory, listen),
        _key(secondary[1]),
        _peer("secondary", secondary[0], listen[0], secondary[1]),
        f'[[zone]]\nname = "{origin}"\nrole = "primary"\nfile = "{directory}/zone.db"\n'
        'secondaries = ["secondary"]\nallow_transfer = ["here"]\n',
    ]
    return "\n".join(parts)

"""The configuration of an xfer that stands between the lab's two servers."""

from __future__ import annotations

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


def middle_toml(
    directory: Path,
    listen: tuple[str, int],
    origin: str,
    primary: tuple[tuple[str, int], TsigKey],
    secondary: tuple[tuple[str, int], TsigKey],
) -> str:
    """xfer.toml: secondary of one server, primary of the other; journal and socket in `directory`.

    primary, secondary: ((address, port), key); another key on each hop.
    """
    parts = [
        f'[server]\nlisten = ["{listen[0]}:{listen[1]}"]\n'
        f'journal = "sqlite:///{directory}/journal.db"\n'
        f'control = "{directory}/control.sock"\n',
        _key(primary[1]),
        _key(secondary[1]),
        _peer("primary", primary[0], listen[0], primary[1]),
        _peer("secondary", secondary[0], listen[0], secondary[1]),
        f'[[zone]]\nname = "{origin}"\nrole = "secondary"\n'
        'primaries = ["primary"]\nsecondaries = ["secondary"]\n',
    ]
    return "\n".join(parts)

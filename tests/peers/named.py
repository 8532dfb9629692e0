"""BIND as a process, configured as its operators would: no recursion, no query log, signed AXFR."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.peers.ports import free_port
from tests.peers.process import PeerError, PrimaryZone, Remote, Server, TsigKey, Zone

_SIOCSIFADDR = 0x8916  # <linux/sockios.h>
RNDC_KEY = TsigKey.make("rndc-key")


class Named(Server):
    """BIND's `named`. `one_answer` sends one record per message (`transfer-format one-answer`).

    options: more statements for the options block; extra: beside it; zone_options: in every zone's
    block, without semicolons; debug: the debug level, 3 logs what kind of
    transfer came.
    """

    program = "named"
    keeps_case = True

    def __init__(
        self,
        zones: Sequence[Zone] = (),
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        directory: Path | None = None,
        one_answer: bool = False,
        options: str = "",
        debug: int = 0,
        extra: str = "",
        zone_options: Sequence[str] = (),
    ) -> None:
        super().__init__(zones, address=address, port=port, directory=directory)
        self.one_answer = one_answer
        self.options = options
        self.debug = debug
        self.extra = extra
        self.zone_options = zone_options
        self.control_port = free_port(address)

    def configure(self) -> None:
        ensure_loopback(self.address)
        transfer_format = "one-answer" if self.one_answer else "many-answers"
        text = f"""
options {{
    directory "{self.directory}";
    listen-on port {self.port} {{ {self.address}; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile "{self.directory}/session.key";
    lock-file none;
    recursion no;
    dnssec-validation no;
    empty-zones-enable no;
    querylog no;
    notify explicit;
    notify-delay 0;
    notify-source {self.address};
    transfer-source {self.address};
    # Else, where the first try fails, it asks from another address, as a peer nobody knows.
    use-alt-transfer-source no;
    transfer-format {transfer_format};
    allow-transfer {{ none; }};
    max-cache-size 4M;
    {self.options}
}};
controls {{
    inet {self.address} port {self.control_port} allow {{ any; }} keys {{ "rndc-key"; }};
}};
{self.extra}
{"".join(_key(key) for key in [RNDC_KEY, *self.keys_in_use()])}
{"".join(self._zone(zone) for zone in self.zones)}
"""
        (self.directory / "named.conf").write_text(text)
        (self.directory / "rndc.conf").write_text(
            f"{_key(RNDC_KEY)}options {{ default-key rndc-key; "
            f"default-server {self.address}; default-port {self.control_port}; }};\n"
        )

    def _zone(self, zone: Zone) -> str:
        transfer = " ".join(f'key "{key.name}";' for key in zone.keys) or "any;"
        lines = [
            f'file "{self.zone_file(zone.name)}"',
            f"allow-transfer {{ {transfer} }}",
            f"also-notify {{ {_remotes(zone.notify)} }}",
            *self.zone_options,
        ]
        if isinstance(zone, PrimaryZone):
            # Test zones hold names that BIND's host name rules would refuse.
            lines += ["type primary", "check-names ignore", "check-integrity no"]
            updaters = " ".join(f'key "{key.name}";' for key in zone.updaters) or "none;"
            lines.append(f"allow-update {{ {updaters} }}")
        else:
            allowed = "".join(f" {address};" for address in zone.allow_notify)
            lines += [
                "type secondary",
                f"primaries {{ {_remotes(zone.primaries)} }}",
                f"allow-notify {{{allowed} }}",
            ]
        body = "".join(f"    {line};\n" for line in lines)
        return f'zone "{zone.name}" {{\n{body}}};\n'

    def command(self) -> list[str]:
        return ["named", "-g", "-d", str(self.debug), "-c", str(self.directory / "named.conf")]

    def rndc(self, *words: str) -> str:
        return self._run("rndc", "-c", str(self.directory / "rndc.conf"), *words)

    def reload(self, zone: str) -> None:
        self.rndc("reload", zone)

    def retransfer(self, zone: str) -> None:
        self.rndc("retransfer", zone)

    def refresh(self, zone: str) -> None:
        self.rndc("refresh", zone)


def ensure_loopback(address: str) -> None:
    """Give the loopback interface this address, which BIND needs before it listens there.

    127.0.0.1 always is; others stay until the machine (or container) stops. Needs to be root.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        # Other servers bind to any 127/8 address; only BIND looks at the list of interfaces.
        index = int(ipaddress.IPv4Address(address)) & 0xFFFF
        if index == 1:
            return
        request = struct.pack(
            "16sH2s4s8x", f"lo:{index}".encode(), socket.AF_INET, b"", socket.inet_aton(address)
        )
        try:
            fcntl.ioctl(sock, _SIOCSIFADDR, request)
        except OSError as error:
            raise PeerError(
                f"cannot give {address} to the loopback interface ({error.strerror}): "
                "run as root, or let BIND listen on 127.0.0.1"
            ) from None


def _key(key: TsigKey) -> str:
    return f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};\n'


def _remotes(remotes: Iterable[Remote]) -> str:
    return " ".join(
        f"{remote.address} port {remote.port}"
        + (f' key "{remote.key.name}"' if remote.key else "")
        + ";"
        for remote in remotes
    )

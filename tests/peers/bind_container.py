"""BIND as primary and secondary for tests, in containers (see bind-lab/bindservers.py).

Every server has `address`, `port`, `key`, `edit(text)`, `reload()`, `axfr()`, `logs()`,
`wait_serial()`. Ports are free ones; the addresses differ, so that ACLs by address are real.
"""

from __future__ import annotations

from bindlab import TsigKey
from bindservers import Bind, Lab, Spec

__all__ = ["MIDDLE", "PRIMARY", "SECONDARY", "Bind", "BindFactory", "TsigKey"]

PRIMARY = "127.0.0.11"
MIDDLE = "127.0.0.12"  # where xfer stands in the tests
SECONDARY = "127.0.0.13"


class BindFactory:
    """Starts BINDs and ends those it started."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._started: list[Bind] = []

    def primary(
        self,
        text: str,
        *,
        origin: str = "example.com",
        key: TsigKey | None = None,
        address: str = PRIMARY,
        allow_from: tuple[str, ...] = (),
        notify: tuple[tuple[str, int], ...] = (),
        one_answer: bool = False,
        options: str = "",
    ) -> Bind:
        """A primary that serves `text`, a zone file; transfers need the key (and the address)."""
        return self._start(
            Spec(
                "primary",
                origin,
                address,
                key=key,
                text=text,
                allow_from=allow_from,
                notify=notify,
                one_answer=one_answer,
                options=options,
            )
        )

    def secondary(
        self,
        upstream: tuple[str, int],
        *,
        origin: str = "example.com",
        key: TsigKey | None = None,
        address: str = SECONDARY,
        port: int = 0,
        options: str = "",
    ) -> Bind:
        """A secondary that pulls from `upstream` (address, port), signed with `key`."""
        return self._start(
            Spec(
                "secondary",
                origin,
                address,
                port,
                key=key,
                upstream=upstream,
                options=options,
            )
        )

    def _start(self, spec: Spec) -> Bind:
        server = self._lab.start(spec)
        self._started.append(server)
        return server

    def close(self) -> None:
        """Stop what this factory has started."""
        while self._started:
            self._lab.stop(self._started.pop())

"""xfer as primary of a BIND secondary: a file, imports, an edit and a changed file, all by IXFR."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import counting
from tests.interop.chain import key_of
from tests.interop.edits import SERIAL, TEXT, ZONE
from tests.peers import Named, PrimaryZone, Remote, SecondaryZone, Xferd, free_port

pytestmark = pytest.mark.lab

KEY = key_of(1)


def test_every_way_to_change_a_primary_zone_reaches_the_secondary_as_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Remote("127.0.0.1", free_port("127.0.0.1"), KEY)
    with Xferd([PrimaryZone(ZONE, TEXT, keys=[KEY], notify=[told])]) as xfer:
        below = SecondaryZone(ZONE, [xfer.remote(KEY)], keys=[KEY])
        with Named([below], port=told.port, debug=3) as secondary:
            secondary.wait_serving(ZONE, SERIAL)

            def change(serial: int, *words: str) -> None:
                done = xfer.cli(*words)
                assert done.returncode == 0, done.stderr
                secondary.wait_serving(ZONE, serial, timeout=20)
                assert secondary.axfr(ZONE, KEY) == xfer.axfr(ZONE, KEY)

            new = tmp_path / "new"
            new.write_text(TEXT + "new A 192.0.2.200\n")
            change(SERIAL + 1, "zone", "import", ZONE, str(new), "--yes")

            editor = tmp_path / "editor"
            editor.write_text('sed -i s/192.0.2.200/192.0.2.201/ "$1"\n')
            monkeypatch.setenv("VISUAL", f"sh {editor}")
            change(SERIAL + 2, "zone", "edit", ZONE, "--yes")

            # The edits go to the file, which then changes by itself.
            file = xfer.zone_file(ZONE)
            change(SERIAL + 2, "zone", "export", ZONE, "-o", str(file))
            change(SERIAL + 2, "reload")
            file.write_text(file.read_text() + f"more.{ZONE} 300 IN A 192.0.2.202\n")
            change(SERIAL + 3, "reload")

            counting.at_least(4, lambda: counting.of_bind(secondary.logs()).serials)
            received = counting.of_bind(secondary.logs())
            assert received.serials == tuple(range(SERIAL, SERIAL + 4))
            assert received.kinds == ("axfr", "ixfr", "ixfr", "ixfr")

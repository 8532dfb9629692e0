"""What is known of a zone that is signed here: its keys, what was signed, what comes next.

Only the event loop touches it (`xfer.server.zones`); `xfer.server.signing` does the work.
"""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class Signing:
    """Of one zone.

    made_of: root of the content that the served version was made of, b"" where it was not signed
    here; error: why what came is not served, "" where it is.
    """

    made_of: bytes = b""
    error: str = ""

    @property
    def fresh(self) -> bool:
        """Whether nothing that was signed here was ever served."""
        return not self.made_of

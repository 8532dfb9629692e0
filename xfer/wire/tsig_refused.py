"""A request that failed its TSIG check, with the answer to give (RFC 8945 §5.2, §5.3.2).

mypyc keeps a class that extends one of errors.py an ordinary Python class; nothing here is hot.
"""

from __future__ import annotations

import struct

from xfer.errors import TsigError, TsigKind
from xfer.wire.codes import FORMERR, NOTAUTH
from xfer.wire.edns import Edns
from xfer.wire.request import edns_of, make_error
from xfer.wire.tsig_keys import BADKEY, BADSIG, BADTIME, BADTRUNC, FUDGE, TSIG_FIXED, Key
from xfer.wire.tsig_record import Tsig, Unreadable, append, build_raw, prefixed, time_bytes

_ERRORS = {
    TsigKind.UNKNOWN_KEY: BADKEY,
    TsigKind.WRONG_ALGORITHM: BADKEY,
    TsigKind.BAD_MAC: BADSIG,
    TsigKind.BAD_TIME: BADTIME,
    TsigKind.BAD_TRUNCATION: BADTRUNC,
}


class RequestRefused(TsigError):
    """A request failed its TSIG check.

    Beside the fields of TsigError: rcode: of the answer; tsig_error: TSIG error code in it, 0 for
    one without TSIG; key_name: lower-case wire name that the request named, b"" where unknown;
    unreadable: the message could not be walked, so nothing is known of a TSIG in it.
    """

    def __init__(
        self,
        error: TsigError,
        request: bytes,
        now: int,
        tsig: Tsig | None = None,
        key: Key | None = None,
    ) -> None:
        """error: what was wrong; tsig: the request's, None where it has no readable one; key: the
        key to sign the answer with, None for an answer that must not be signed."""
        super().__init__(error.kind, error.expected, error.got, error.our_time, error.their_time)
        self.request = request
        self.unreadable = isinstance(error, Unreadable)
        self.key_name = b"" if tsig is None else tsig.owner
        # A MAC of a size that the RFC forbids is no matter of policy: FORMERR (§5.2.2.1).
        bad_size = error.kind is TsigKind.BAD_TRUNCATION and key is None
        self.tsig_error = 0 if tsig is None or bad_size else _ERRORS.get(error.kind, 0)
        self.rcode = NOTAUTH if self.tsig_error else FORMERR
        self._now = now
        self._tsig = tsig
        self._key = key

    def response(self, payload: int = 1232) -> bytes | None:
        """The answer to send; None where the request cannot be answered at all.

        payload: the UDP size for an OPT, which is only there in answer to an OPT.
        """
        asked = edns_of(self.request)
        edns = None if asked is None else Edns(0, payload, asked.do)
        answer = make_error(self.request, self.rcode, edns)
        if answer is None or self._tsig is None or self.tsig_error == 0:
            return answer
        tsig = self._tsig
        late = self.tsig_error == BADTIME
        other = time_bytes(self._now) if late else b""
        # BADTIME repeats the client's own time, so that the client can verify it (§5.2.3).
        signed_at = tsig.time if late else self._now
        mac = b""
        if self._key is not None:
            digest = self._key.start()
            digest.update(prefixed(tsig.mac))
            digest.update(struct.pack(">H", tsig.original_id) + answer[2:])
            digest.update(self._key.variables + time_bytes(signed_at))
            digest.update(struct.pack(">HHH", FUDGE, self.tsig_error, len(other)) + other)
            mac = digest.digest()[: self._key.algorithm.mac_size]
        record = build_raw(
            tsig.owner + TSIG_FIXED,
            tsig.algorithm,
            signed_at,
            FUDGE,
            mac,
            tsig.original_id,
            self.tsig_error,
            other,
        )
        return append(answer, record)

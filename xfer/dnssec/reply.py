"""An answer of another server of a zone, or of its parent, up to its records. Pure."""

from __future__ import annotations

from collections.abc import Callable

from xfer.errors import Failure, TransferError
from xfer.wire import names, records
from xfer.wire.codes import NOERROR, rcode_text
from xfer.wire.message import OPCODE_QUERY, Question, Response, check_response, parse_response


def read_reply(
    message: bytes, id: int, origin: bytes, rtype: int, hint: Callable[[int], str]
) -> Response | None:
    """The answer to the question for an RRset of a zone's apex, None where it was truncated.

    origin: lower-case wire name; hint: what another RCODE than NOERROR may mean. Raises
    TransferError, DENIED, for such an RCODE; WireError where it is damaged or answers something
    else.
    """
    # A truncated one may end anywhere, its OPT missing.
    cut = len(message) > 2 and message[2] & 2 != 0
    response = parse_response(message, walk=not cut)
    check_response(response, id, OPCODE_QUERY, Question(origin, rtype))
    if response.rcode != NOERROR:
        raise TransferError(
            Failure.DENIED,
            f"rcode NOERROR for {names.to_text(origin)} {records.type_text(rtype)}",
            f"rcode {rcode_text(response.rcode)}",
            hint=hint(response.rcode),
        )
    return None if response.header.tc else response

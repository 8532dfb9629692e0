"""DNS messages: the public names of its modules.

codes      opcodes, RCODEs, flags and their names
header     header and question
edns       OPT and its options
request    reading and writing requests, answers without records
response   reading responses
"""

from __future__ import annotations

from xfer.wire.codes import (
    BADVERS,
    FLAG_AA,
    FLAG_QR,
    FLAG_RA,
    FLAG_RD,
    FLAG_TC,
    FORMERR,
    NOERROR,
    NOTAUTH,
    NOTIMP,
    NXDOMAIN,
    OPCODE_NOTIFY,
    OPCODE_QUERY,
    OPCODE_UPDATE,
    REFUSED,
    SERVFAIL,
    opcode_text,
    rcode_text,
)
from xfer.wire.edns import (
    OPT,
    OPTION_EXPIRE,
    Edns,
    asks_expire,
    expire_of,
    expire_option,
    expire_request,
    parse_tail,
)
from xfer.wire.header import (
    Header,
    Question,
    parse_header,
    read_question,
)
from xfer.wire.request import (
    Kind,
    Request,
    describe,
    edns_of,
    make_error,
    make_notify,
    make_query,
    parse_request,
    serial_soa,
)
from xfer.wire.response import (
    Response,
    check_response,
    parse_response,
    soa_serial_of,
)

__all__ = [
    "BADVERS",
    "FLAG_AA",
    "FLAG_QR",
    "FLAG_RA",
    "FLAG_RD",
    "FLAG_TC",
    "FORMERR",
    "NOERROR",
    "NOTAUTH",
    "NOTIMP",
    "NXDOMAIN",
    "OPCODE_NOTIFY",
    "OPCODE_QUERY",
    "OPCODE_UPDATE",
    "OPT",
    "OPTION_EXPIRE",
    "REFUSED",
    "SERVFAIL",
    "Edns",
    "Header",
    "Kind",
    "Question",
    "Request",
    "Response",
    "asks_expire",
    "check_response",
    "describe",
    "edns_of",
    "expire_of",
    "expire_option",
    "expire_request",
    "make_error",
    "make_notify",
    "make_query",
    "opcode_text",
    "parse_header",
    "parse_request",
    "parse_response",
    "parse_tail",
    "rcode_text",
    "read_question",
    "serial_soa",
    "soa_serial_of",
]

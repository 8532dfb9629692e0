"""Numbers of the DNS message header, and their names (RFC 1035 §4.1.1, IANA DNS parameters)."""

from __future__ import annotations

from typing import Final

OPCODE_QUERY: Final = 0
OPCODE_IQUERY: Final = 1
OPCODE_STATUS: Final = 2
OPCODE_NOTIFY: Final = 4
OPCODE_UPDATE: Final = 5

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
YXDOMAIN: Final = 6
NOTAUTH: Final = 9
BADVERS: Final = 16
BADCOOKIE: Final = 23

FLAG_QR: Final = 0x8000
FLAG_AA: Final = 0x0400
FLAG_TC: Final = 0x0200
FLAG_RD: Final = 0x0100
FLAG_RA: Final = 0x0080
OPCODE_MASK: Final = 0x7800

_OPCODES: Final = {0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}

_RCODES: Final = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    11: "DSOTYPENI",
    16: "BADVERS",
    23: "BADCOOKIE",
}

_TSIG_ERRORS: Final = {
    16: "BADSIG",
    17: "BADKEY",
    18: "BADTIME",
    19: "BADMODE",
    20: "BADNAME",
    21: "BADALG",
    22: "BADTRUNC",
}


def opcode_text(opcode: int) -> str:
    """ "NOTIFY"; "OPCODE7" where it has no name."""
    return _OPCODES.get(opcode, f"OPCODE{opcode}")


def rcode_text(rcode: int) -> str:
    """ "REFUSED"; "RCODE12" where it has no name.  Takes extended codes (BADVERS) as well."""
    return _RCODES.get(rcode, f"RCODE{rcode}")


def tsig_error_text(error: int) -> str:
    """The name of a code in the TSIG error field; 16 is BADSIG there, not BADVERS."""
    return _TSIG_ERRORS.get(error, rcode_text(error))

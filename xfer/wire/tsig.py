"""TSIG, RFC 8945: the public names of its modules.

tsig_keys      algorithms and keys
tsig_record    the record in a message
tsig_request   signing a request, verifying one
tsig_refused   the answer to a request that failed
tsig_stream    verifying and signing responses, one or a stream
"""

from __future__ import annotations

from xfer.wire.tsig_keys import (
    ALGORITHMS,
    BADKEY,
    BADSIG,
    BADTIME,
    BADTRUNC,
    FUDGE,
    HMAC_MD5,
    HMAC_SHA1,
    HMAC_SHA224,
    HMAC_SHA256,
    HMAC_SHA256_128,
    HMAC_SHA384,
    HMAC_SHA384_192,
    HMAC_SHA512,
    HMAC_SHA512_256,
    MAX_TSIG,
    Algorithm,
    Key,
)
from xfer.wire.tsig_refused import RequestRefused
from xfer.wire.tsig_request import (
    VerifiedRequest,
    sign_request,
    verify_request,
)
from xfer.wire.tsig_stream import (
    ResponseSigner,
    ResponseVerifier,
)

__all__ = [
    "ALGORITHMS",
    "BADKEY",
    "BADSIG",
    "BADTIME",
    "BADTRUNC",
    "FUDGE",
    "HMAC_MD5",
    "HMAC_SHA1",
    "HMAC_SHA224",
    "HMAC_SHA256",
    "HMAC_SHA256_128",
    "HMAC_SHA384",
    "HMAC_SHA384_192",
    "HMAC_SHA512",
    "HMAC_SHA512_256",
    "MAX_TSIG",
    "Algorithm",
    "Key",
    "RequestRefused",
    "ResponseSigner",
    "ResponseVerifier",
    "VerifiedRequest",
    "sign_request",
    "verify_request",
]

"""NSEC3's hashed owner names: hashing, base32hex, and where the hashes of a version stand.

RFC 5155 §5 (the hash), §3.3 (owner names, RFC 4648 §7's base32hex). Hashed owners lie among the
ordinary names of a zone, and during a resalt in several chains at once; so to find what stands
before a hash, the hashes of each set of parameters are kept apart: 20 octets each, packed by block.
A block's hashes are found once and stay with the next version's index as long as it has the block.

*Parameters* are the octets by which a chain is told from others: algorithm, iterations (2), length
and octets of the salt; NSEC3PARAM and NSEC3 rdata both hold them, with the flags after the first.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from typing import Final

from xfer.wire.records import NSEC3, RRSIG
from xfer.zone.block import Block
from xfer.zone.snapshot import Snapshot

SHA1: Final = 1  # the only hash algorithm there is (RFC 5155 §11)
SIZE: Final = 20  # octets of a hash
STEP: Final = 4_096  # records looked at in one step

_DIGITS: Final = b"0123456789abcdefghijklmnopqrstuv"
_PAIRS: Final = [bytes((high, low)) for high in _DIGITS for low in _DIGITS]
_LABEL: Final = 32  # octets of a hash in base32hex
_RDATA: Final = _LABEL + 2 + 2 + 4  # where the rdata of an NSEC3 record begins: key, type, TTL
_MARK: Final = b"\0\0" + NSEC3.to_bytes(2, "big")  # end of an owner key, and the type
_SIGNED_MARK: Final = b"\0\0" + bytes((0, RRSIG, 0, NSEC3))
_REUSED: Final = 8  # records' worth of work that a block costs whose hashes are known

# Packed hashes by parameters.
Hashes = dict[bytes, bytes]
_NO_HASHES: Final[Hashes] = {}


def hash_name(wire: bytes, salt: bytes, iterations: int) -> bytes:
    """The hash of a lower-case wire name, after so many additional iterations (RFC 5155 §5)."""
    digest = hashlib.sha1(wire + salt).digest()
    while iterations > 0:
        digest = hashlib.sha1(digest + salt).digest()
        iterations -= 1
    return digest


def label_of(digest: bytes) -> bytes:
    """A hash of 20 octets in base32hex, lower-case: 32 octets."""
    out: list[bytes] = []
    for at in range(0, SIZE, 5):
        high = digest[at] << 12 | digest[at + 1] << 4 | digest[at + 2] >> 4
        low = (digest[at + 2] & 15) << 16 | digest[at + 3] << 8 | digest[at + 4]
        out.append(_PAIRS[high >> 10])
        out.append(_PAIRS[high & 1023])
        out.append(_PAIRS[low >> 10])
        out.append(_PAIRS[low & 1023])
    return b"".join(out)


def owner_of(digest: bytes) -> bytes:
    """The owner key of the NSEC3 record of a hash."""
    return label_of(digest) + b"\0\0"


def digest_of(owner: bytes) -> bytes:
    """The hash that an owner key is the base32hex of; b"" where it is none."""
    label = owner[:_LABEL]
    if len(owner) != _LABEL + 2 or label.strip(_DIGITS):
        return b""
    return int(label, 32).to_bytes(SIZE, "big")


def parameters_of(rdata: bytes) -> bytes:
    """The parameters in the rdata of an NSEC3 or NSEC3PARAM record."""
    return rdata[:1] + rdata[2 : 5 + rdata[4]]


def hashed_owners(block: Block) -> Hashes:
    """The hashes of the NSEC3 records in a block, rising, by their parameters."""
    if _MARK not in block.data:
        return _NO_HASHES
    labels: dict[bytes, list[bytes]] = {}
    for record in block.records():
        if (
            len(record) < _RDATA + 7
            or record[_LABEL : _LABEL + 4] != _MARK
            or record[:_LABEL].strip(_DIGITS)
        ):
            continue
        parameters = parameters_of(record[_RDATA:])
        found = labels.get(parameters)
        if found is None:
            labels[parameters] = [record[:_LABEL]]
        elif found[-1] != record[:_LABEL]:
            found.append(record[:_LABEL])
    # All at once, as one long number: its digits are those of base32hex.
    return {
        parameters: int(b"".join(found), 32).to_bytes(SIZE * len(found), "big")
        for parameters, found in labels.items()
    }


def only_hashed(snapshot: Snapshot, name: bytes) -> bool:
    """Whether a name is there as the owner of NSEC3 records and for nothing else.

    Such a name does not exist: who asks for it is told so (RFC 5155 §7.2.8).
    """
    if not digest_of(name):
        return False
    below = name[:-1]  # what all records at and below the name begin with
    at, index = snapshot.seek(below)
    found = False
    while at < len(snapshot.blocks):
        block = snapshot.blocks[at]
        while index < block.count:
            record = block.record(index)
            if not record.startswith(below):
                return found
            if record[_LABEL : _LABEL + 4] != _MARK and (
                record[_LABEL : _LABEL + 6] != _SIGNED_MARK
            ):
                return False
            found = True
            index += 1
        at += 1
        index = 0
    return found


class Chain:
    """The hashes of a version that have the same parameters; count: how many they are.

    iterations and salt are read from the parameters.
    """

    def __init__(self, parameters: bytes) -> None:
        self.parameters = parameters
        self.iterations: int = parameters[1] << 8 | parameters[2]
        self.salt = parameters[4:]
        self.count = 0
        self._firsts: list[bytes] = []
        self._packed: list[bytes] = []

    def extend(self, packed: bytes) -> None:
        """Add hashes above all it has."""
        self._firsts.append(packed[:SIZE])
        self._packed.append(packed)
        self.count += len(packed) // SIZE

    def hash(self, wire: bytes) -> bytes:
        """The hash of a lower-case wire name."""
        return hash_name(wire, self.salt, self.iterations)

    def floor(self, digest: bytes) -> bytes:
        """The hash of the record that matches `digest`, else of the one that covers it.

        That is the last one that is not above; the chain is a ring, so where there is none, the
        last of all (RFC 5155 §1.3). Only for a chain that is not empty.
        """
        at = bisect_right(self._firsts, digest) - 1
        packed = self._packed[at]  # at −1 stands the last
        if at < 0:
            return packed[-SIZE:]
        low = 0
        high = len(packed) // SIZE
        while high - low > 1:
            middle = (low + high) >> 1
            if packed[SIZE * middle : SIZE * middle + SIZE] <= digest:
                low = middle
            else:
                high = middle
        return packed[SIZE * low : SIZE * low + SIZE]

    def above(self, digest: bytes) -> bytes:
        """The next hash of the ring above `digest`, which need not be in it; of a chain that is not
        empty."""
        at = bisect_right(self._firsts, digest) - 1
        if at >= 0:
            packed = self._packed[at]
            low = 0
            high = len(packed) // SIZE
            while low < high:
                middle = (low + high) >> 1
                if packed[SIZE * middle : SIZE * middle + SIZE] <= digest:
                    low = middle + 1
                else:
                    high = middle
            if SIZE * low < len(packed):
                return packed[SIZE * low : SIZE * low + SIZE]
        return self._firsts[at + 1 if at + 1 < len(self._firsts) else 0]


class Index:
    """Fills chains with the hashes of a version, in bounded steps.

    chains: empty ones, the parameters to look for; previous: the index of the version before.
    Use: `step` until it says False.
    """

    def __init__(self, snapshot: Snapshot, chains: list[Chain], previous: Index | None) -> None:
        self.chains = chains
        self._blocks = snapshot.blocks
        self._next = 0
        self._known: dict[bytes, Hashes] = previous.held if previous is not None else {}
        # Of each block, by its digest; of all parameters, for a chain may be announced later.
        self.held: dict[bytes, Hashes] = {}

    def step(self) -> bool:
        """Look at some of the blocks that are left; False when there are none."""
        work = 0
        while self._next < len(self._blocks) and work < STEP:
            block = self._blocks[self._next]
            self._next += 1
            found = self._known.get(block.digest)
            if found is None:
                found = hashed_owners(block)
                work += block.count
            else:
                work += _REUSED
            self.held[block.digest] = found
            if found:
                for chain in self.chains:
                    packed = found.get(chain.parameters)
                    if packed is not None:
                        chain.extend(packed)
        if self._next < len(self._blocks):
            return True
        self._known = {}
        return False

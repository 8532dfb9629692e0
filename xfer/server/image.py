"""AXFR images: the ready-made messages of blocks, within one memory budget (DESIGN §2).

Versions share blocks, so messages are kept per block, not per version: after a change only the
blocks it touched are rendered again, and a zone that does not fit the budget keeps what does.
Owner keys are relative, so two zones may share a block: the origin belongs to the key.
"""

from __future__ import annotations

from collections import OrderedDict

from xfer.zone.block import Block
from xfer.zone.image import render_block

_OVERHEAD = 120  # octets of a bytes object, its list slot and its share of the dictionary entry


class ImageCache:
    """Messages by block and origin, least recently sent dropped first.

    limit: octets; `size` is what is held.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._held: OrderedDict[tuple[bytes, bytes], tuple[list[bytes], int]] = OrderedDict()

    def get(self, block: Block, origin: bytes) -> list[bytes] | None:
        """The block's messages where they are held."""
        key = (block.digest, origin)
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def render(self, block: Block, origin: bytes) -> list[bytes]:
        """The messages of a block, without the apex's SOA: that goes first and last, in messages of
        its own. They are held from now on, where they fit."""
        messages = render_block(block, origin)
        cost = sum(len(message) + _OVERHEAD for message in messages)
        key = (block.digest, origin)
        if cost <= self.limit and key not in self._held:
            self._held[key] = (messages, cost)
            self.size += cost
            self.shrink(self.limit)
        return messages

    def shrink(self, limit: int) -> None:
        """A new budget, from a reload."""
        self.limit = limit
        while self.size > self.limit:
            _, (_, freed) = self._held.popitem(last=False)
            self.size -= freed

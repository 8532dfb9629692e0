"""AXFR images: the ready-made messages of blocks, within one memory budget (DESIGN §2).

Versions share blocks, so messages are kept per block, not per version: after a change only the
blocks it touched are rendered again, and a zone that does not fit the budget keeps what does.
Owner keys are relative, so two zones may share a block: the origin belongs to the key.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from xfer.zone.block import Block
from xfer.zone.image import render_block

_OVERHEAD = 120  # octets of a bytes object, its list slot and its share of the dictionary entry


class ImageCache:
    """Messages by block and origin, least recently sent dropped first; used from any thread.

    limit: octets; `size` is what is held.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._held: OrderedDict[tuple[bytes, bytes], tuple[list[bytes], int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, block: Block, origin: bytes) -> list[bytes] | None:
        """The block's messages where they are held."""
        key = (block.digest, origin)
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def render(self, blocks: Sequence[Block], origin: bytes) -> list[list[bytes]]:
        """The messages of each block, rendered where they are not held; for a worker thread.

        The apex's SOA is left out: it goes first and last, in messages of its own.
        """
        return [self._render_one(block, origin) for block in blocks]

    def _render_one(self, block: Block, origin: bytes) -> list[bytes]:
        held = self.get(block, origin)
        if held is not None:
            return held
        messages = render_block(block, origin)
        self._put(block, origin, messages)
        return messages

    def _put(self, block: Block, origin: bytes, messages: list[bytes]) -> None:
        cost = sum(len(message) + _OVERHEAD for message in messages)
        if cost > self.limit:
            return
        key = (block.digest, origin)
        with self._lock:
            if key in self._held:
                return
            self._held[key] = (messages, cost)
            self.size += cost
            while self.size > self.limit:
                _, (_, freed) = self._held.popitem(last=False)
                self.size -= freed

    def shrink(self, limit: int) -> None:
        """A new budget, from a reload."""
        with self._lock:
            self.limit = limit
            while self.size > self.limit:
                _, (_, freed) = self._held.popitem(last=False)
                self.size -= freed

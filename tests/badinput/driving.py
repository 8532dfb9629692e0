"""Running pulls in tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import trio
import trio.testing

from tests.badinput.primary import (
    KEY,
    Primary,
)
from tests.badinput.secondary import pull
from xfer.errors import TransferError

T = TypeVar("T")

SIGNED = pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Under a clock that jumps to the next event: no test sleeps."""
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def failure_of(primary: Primary, **arguments: object) -> TransferError:
    with pytest.raises(TransferError) as caught:
        await pull(primary, **arguments)  # type: ignore[arg-type]
    return caught.value

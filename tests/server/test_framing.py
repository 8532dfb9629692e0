"""The stream as messages: cut anywhere, verified in order, stopped by the first that fails."""

from __future__ import annotations

import pytest

from tests.badinput.primary import KEY, NOW, OTHER_SECRET
from tests.server.receiving import HOSTS, drafts, framed, framing
from xfer.errors import Failure, TransferError

DRAFTS = drafts(HOSTS[:300])
PLAIN = [draft.wire() for draft in DRAFTS]


@pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_any_cut_gives_the_same_messages_without_tsig(piece: int, key: object) -> None:
    stream = framed(DRAFTS, KEY if key else None)
    cut = framing(KEY if key else None)
    messages: list[bytes] = []
    for at in range(0, len(stream), piece):
        messages += cut.take([stream[at : at + piece]], NOW)
    assert messages == PLAIN
    assert cut.more == ""
    cut.finish()


def test_what_is_held_is_said() -> None:
    stream = framed(DRAFTS, None)
    cut = framing()
    assert cut.where(0, 0) == "before the first octet of an answer"
    assert cut.take([stream[:1]], NOW) == []
    assert cut.where(0, 0).startswith("after 1 octet of the 2 that hold a message's length")
    size = len(PLAIN[0])
    assert cut.take([stream[1 : size + 4]], NOW) == PLAIN[:1]
    assert cut.held == 2
    assert cut.more == "2 octets more"
    assert cut.where(1, 3) == (
        f"after 0 octets of {len(PLAIN[1])} of the next message, after 1 message with 3 records"
    )


def test_nothing_comes_after_a_message_that_fails() -> None:
    good, bad = framed(DRAFTS[:1], KEY), framed(DRAFTS, OTHER_SECRET)
    cut = framing(KEY)
    assert cut.take([good, bad], NOW) == PLAIN[:1]
    assert cut.refused is not None
    message, error = cut.refused
    assert error.failure is Failure.AUTH
    assert "message 2" in str(error)
    assert cut.more == f"one more message of {len(message)} octets"
    assert cut.take([good], NOW) == []


def test_the_last_message_must_be_signed() -> None:
    cut = framing(KEY)
    with pytest.raises(TransferError, match="none") as caught:
        cut.finish()
    assert caught.value.failure is Failure.AUTH

"""The benchmark: xfer, BIND, Knot and NSD side by side, as receivers and senders of one zone.

`python -m tests.bench` runs it and prints the table; every figure of xfer stands beside theirs
from the same run. All of them are secondaries of one fast sender (`replay.py`), with TSIG
hmac-sha256 on every hop:

    replay ──AXFR──> server under test ──AXFR──> drain
    ready-made      CPU and memory of all       counts frames,
    messages        its processes (proc.py)     does nothing else

`zone.py` makes the zones, `stages.py` takes one server through its life once, `load.py` asks
SOA queries meanwhile, `table.py` prints medians over interleaved rounds.
"""

"""The benchmark: xfer, BIND, Knot and NSD side by side, as receivers and senders of one zone.

`python -m tests.bench` runs it and prints the table; every figure of xfer stands beside theirs
from the same run. All of them are secondaries of one fast sender (`replay.py`), with TSIG
hmac-sha256 on every hop:

    replay ──AXFR──> server under test ──AXFR──> drain
    ready-made      CPU and memory of all       counts frames,
    messages        its processes (proc.py)     does nothing else

`zone.py` makes the zones, `stages.py` takes one server through its life once, `load.py` asks
SOA queries meanwhile, `table.py` prints medians over interleaved rounds.

What changes cost is measured apart, each with a table of its own:

`--only latency`  from the moment the primary serves a new serial until the secondary does, one
                  record changed, in zones of 10 k and 1 M records (`changes.py`)
`--only ixfr`     a delta of 1,000 changes into a zone of 1 M records and out of it
    changing ──NOTIFY, IXFR──> server under test ──IXFR──> client

`--only zones`    100,000 zones on one secondary: first load, memory, the sweep after a restart,
                  NOTIFY during it, CPU at rest (`zones.py`; `many.py` has the configurations)
    Knot, all zones from one file ──> server under test

`--only signing`  a zone of 1 M records signed from nothing, and ten changed records of it, beside
                  BIND, Knot, dnssec-signzone and ldns-signzone; `openssl speed` (`signed.py`);
                  `--servers "xfer,xfer alone"`: with and without processes that sign

`--quick` makes any of them small; `--servers`, `--rounds`, `--records`, `--zones` choose.
"""

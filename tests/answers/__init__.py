"""The differential test of answers: the same zones and queries for xfer, BIND, Knot and NSD.

`python -m tests.answers --queries 200000` makes zones of every shape and form (`zones`, `signing`,
`world`), asks all servers the same generated questions (`queries`, `client`), sorts them by kind of
answer (`kinds`), compares what came as sets (`message`, `allowed`, `compare`), and proves every
signed answer of xfer by a validator of its own (`proofs`), which shares no code with xfer.
"""

"""DNS on the wire: names, records, messages, rendering and TSIG, as plain functions over `bytes`.

Kernel code (DESIGN §2): compiled with mypyc when the package is built, and the same source runs
uncompiled. Nothing in here imports trio, attrs or dnspython, opens a socket or reads a clock.
"""

"""Zone transfers as state machines without I/O: what comes in, what goes out (RFC 5936)."""

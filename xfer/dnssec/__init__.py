"""DNSSEC without I/O: keys, signing, denial, the life of keys (RFC 4033–4035, 7583)."""

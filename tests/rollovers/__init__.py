"""Ten years of key rollovers in simulated time, and what validating caches make of them."""

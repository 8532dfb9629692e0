"""Tests, benchmark and the fixtures both use."""

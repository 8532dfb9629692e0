"""Zones as sorted wire records: blocks, snapshots, how they are built and checked, zone files."""

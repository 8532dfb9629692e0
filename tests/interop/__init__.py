"""Scenarios: zones travel through xfer between real servers, one file per scenario."""

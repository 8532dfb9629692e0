"""xfer: a secondary-DNS and zone-transfer engine."""

__version__ = "0.1.0"

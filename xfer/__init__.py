"""xfer: a secondary-DNS and zone-transfer engine."""

from xfer import kernel

__version__ = "0.1.0"

kernel.install()

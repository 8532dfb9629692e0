"""Only the control socket's path from the config: what the command line needs, and imports fast."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from xfer.errors import ConfigError

DEFAULT_CONTROL = "/run/xfer/control.sock"


def control_path(path: str | os.PathLike[str]) -> Path:
    """The socket that the daemon of this config serves; nothing else is checked. ConfigError.

    A [server] table in an included file is not looked for.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(
            str(file), "", f"cannot be read: {error.strerror}", "name a readable TOML file"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(file), "", f"is not TOML: {error}") from None
    server = table.get("server", {})
    value = server.get("control") if isinstance(server, dict) else None
    return file.parent / (value if isinstance(value, str) and value else DEFAULT_CONTROL)

"""`xfer tsig generate`: a new key, ready to paste on both sides."""

from __future__ import annotations

from typing import Annotated

import typer

from xfer.cli.common import JsonOption, print_json, usage
from xfer.errors import WireError

app = typer.Typer(name="tsig", help="Keys that sign DNS messages.", no_args_is_help=True)


@app.callback()
def _tsig() -> None:
    pass


@app.command()
def generate(
    name: Annotated[str, typer.Argument(help="Name of the key, a domain name.", metavar="NAME")],
    algorithm: Annotated[
        str, typer.Option("--algorithm", help="e.g. hmac-sha512.", metavar="A")
    ] = "hmac-sha256",
    as_json: JsonOption = False,
) -> None:
    """Make a random secret of the algorithm's digest size; print it for BIND and for xfer."""
    import base64
    import secrets

    from xfer.idn import absolute
    from xfer.wire.tsig import Algorithm

    try:
        key = absolute(name)
        chosen = Algorithm.from_text(algorithm)
    except WireError as error:
        raise usage(str(error)) from None
    secret = base64.b64encode(secrets.token_bytes(chosen.digest_size)).decode("ascii")
    if as_json:
        print_json({"name": key, "algorithm": chosen.text, "secret": secret})
        return
    typer.echo(
        f"# BIND, also Knot's and NSD's tools: a file for `dig -k`, `xfer pull -k`\n"
        f'key "{key}" {{\n\talgorithm {chosen.text};\n\tsecret "{secret}";\n}};\n\n'
        f"# xfer.toml\n"
        f'[[tsig]]\nname = "{key}"\nalgorithm = "{chosen.text}"\nsecret = "{secret}"'
    )

"""Signing for people: a few lines about a zone, its keys, and what orders do."""

from __future__ import annotations

import time
from typing import Any

import typer

from xfer.cli.common import many, note
from xfer.cli.show import when


def print_status(found: dict[str, Any]) -> None:
    """What `xfer dnssec status` prints."""
    for label, text in rows(found, time.time()):
        typer.echo(f"{label:<10} {text}")


def rows(found: dict[str, Any], now: float) -> list[tuple[str, str]]:
    """Label and text of each line about a zone's signing."""
    lines = [("dnssec", _state(found))]
    if found["mismatch"]:
        lines.append(("mismatch", found["mismatch"]))
    if found["error"]:
        lines.append(("error", _error(found, now)))
    if not found["keys"] and not found["signed"]:
        return lines + _came(found, now) + _todo(found)
    if found["received_serial"] is not None:
        serials = f"{found['received_serial']} received, {_or_dash(found['published_serial'])}"
        lines.append(("serial", f"{serials} published"))
    if found["denial"]:
        lines.append(("denial", found["denial"]))
    lines += [("key", _key(key, now)) for key in found["keys"]]
    if found["ends_at"] is not None:
        renewed = "" if found["renew_at"] is None else f"; renewed {when(found['renew_at'], now)}"
        lines.append(("signatures", f"the first ends {when(found['ends_at'], now)}{renewed}"))
    if found["keyset_ends_at"] is not None:
        lines.append(
            ("keyset", f"signed elsewhere; that ends {when(found['keyset_ends_at'], now)}")
        )
    lines.append(("ds", ds_text(found["ds"], now)))
    lines += [("waits for", _held_up(item, now)) for item in found["held_up"]]
    if found["next_look"] is not None:
        lines.append(("next look", when(found["next_look"], now)))
    return lines + _todo(found)


def brief(found: dict[str, Any], now: float) -> list[tuple[str, str]]:
    """The lines that `xfer status ZONE` has of it."""
    lines = [("dnssec", _state(found))]
    if found["mismatch"]:
        lines.append(("mismatch", found["mismatch"]))
    if found["error"]:
        lines.append(("error", _error(found, now)))
    if found["signed"]:
        lines.append(("ds", ds_text(found["ds"], now)))
    if found["warn_at"] is not None:
        lines += _came(found, now)
    elif found["ends_at"] is not None:
        lines.append(("signatures", f"the first ends {when(found['ends_at'], now)}"))
    return lines + [("to do", item) for item in found["todo"]]


def _came(found: dict[str, Any], now: float) -> list[tuple[str, str]]:
    """Signatures that came with the zone."""
    if found["warn_at"] is None:
        return []
    at, owner = when(found["ends_at"], now), found["ends_first"]
    if found["ends_at"] <= now:
        return [("signatures", f"ENDED: the first {at} ({owner}); only who signs it can renew it")]
    near = " and is due to be renewed where it is signed" if found["warn_at"] <= now else ""
    return [("signatures", f"came with it; the first ends {at} ({owner}){near}")]


def _state(found: dict[str, Any]) -> str:
    keys = len(found["keys"])
    state = f", {found['state']}" if found["state"] else ""
    if found["mode"] == "unsigned" and found["warn_at"] is not None:
        state = " here; it comes signed"
    return f"{found['mode']}{state}" + (f", {many(keys, 'key')}" if keys else "")


def _error(found: dict[str, Any], now: float) -> str:
    since = "" if found["failed_at"] is None else f"since {when(found['failed_at'], now)}: "
    return f"{since}{found['error']}"


def _todo(found: dict[str, Any]) -> list[tuple[str, str]]:
    if not found["todo"]:
        idle = found["signed"] and not (found["mismatch"] or found["error"])
        return [("to do", "nothing")] if idle else []
    return [("to do", item) for item in found["todo"]]


def _key(key: dict[str, Any], now: float) -> str:
    marks = ", compromised" if key["compromised"] else ""
    marks += ", held elsewhere" if key["elsewhere"] else ""
    going = ", to leave" if key["goal"] == "leave" else ""
    text = f"{key['role']} {key['ident']} {key['algorithm_name']}{marks}{going}: {key['does']}"
    return text + _event(key, now)


def _event(key: dict[str, Any], now: float) -> str:
    if not key["event"]:
        return ""
    if key["at"] is None or key["at"] <= now:
        return f"; next: {key['event']}"
    return f"; next: {key['event']}, {when(key['at'], now)}"


def ds_text(ds: dict[str, Any], now: float) -> str:
    """How the DS at the parent fits."""
    seen = ""
    if ds["at"] is not None:
        seen = f", {'seen' if ds['asked'] else 'as told'} {when(ds['at'], now)}"
    elif not ds["asked"]:
        seen = ": `parent` in the policy names whom to ask; or say `xfer dnssec ds-seen`"
    tell = {
        "matches": f"matches: {', '.join(ds['wanted'])}",
        "differs": f"differs: {', '.join(ds['present'])}, and to be there "
        f"{' and '.join(ds['wanted']) or 'none'}",
        "not seen": f"not there, and to be there {' and '.join(ds['wanted'])}",
        "not asked": "not known",
        "none": "none there, and none is to be",
    }
    failed = f"; the last look told nothing: {ds['error']}" if ds["error"] else ""
    return tell[ds["match"]] + seen + failed


def _held_up(item: dict[str, Any], now: float) -> str:
    return (
        f"secondary {item['name']}, which has not got serial {item['serial']}; it counts no more "
        f"{when(item['until'], now)}"
    )


def print_keys(keys: list[dict[str, Any]]) -> None:
    """A few lines a key."""
    now = time.time()
    if not keys:
        typer.echo("no keys")
    for key in keys:
        typer.echo(f"{key['ident']} {_key(key, now).replace(key['ident'] + ' ', '', 1)}")
        typer.echo(
            f"  caches: DNSKEY {key['dnskey']}, signatures {key['signatures']}"
            + (f", DS {key['ds']}" if key["role"] != "zsk" else "")
        )
        used = (
            "not used yet" if key["used_at"] is None else f"used since {when(key['used_at'], now)}"
        )
        replaces = f", replaces {', '.join(key['replaces'])}" if key["replaces"] else ""
        typer.echo(f"  made {when(key['made_at'], now)} ({key['why']}){replaces}; {used}")


def print_plan(planned: dict[str, Any]) -> None:
    """What an order would do, for somebody who has to decide."""
    for item in planned["stake"]:
        note(f"at stake: {item}")
    typer.echo(f"{planned['zone']} would {planned['did']}")
    for item in planned["says"]:
        typer.echo(f"  {item}")


def print_done(done: dict[str, Any]) -> None:
    """What was done, and what comes next."""
    state = done["dnssec"]["state"]
    typer.echo(f"{done['zone']} {done['did']}: done" + (f"; it is {state}" if state else ""))
    for item in done["files"]:
        typer.echo(item)
    for item in done["dnssec"]["todo"]:
        typer.echo(f"to do: {item}")


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)

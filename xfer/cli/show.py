"""Zone status for people: aligned columns, colour on a terminal, plain text elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import typer

from xfer.cli.common import many

COLOURS = {
    "current": "green",
    "transferring": "cyan",
    "loading": "cyan",
    "stale": "yellow",
    "empty": "yellow",
    "failing": "red",
    "expired": "red",
}
REFUSED_SHOWN = 10
HEAD = ("ZONE", "ROLE", "STATE", "SERIAL", "RECORDS", "NOTE")


def print_zones(zones: Iterable[dict[str, Any]]) -> None:
    """One line a zone. Pages of zones are printed as they come, so widths are those so far."""
    widths = [24, 9, 12, 10, 9, 0]
    for number, zone in enumerate(zones):
        if number == 0:
            _line(HEAD, widths, None)
        cells = (
            zone["name"],
            zone["role"],
            zone["state"],
            _or_dash(zone["serial"]),
            str(zone["records"]) if zone["serial"] is not None else "-",
            _note(zone),
        )
        _line(cells, widths, zone["state"])


def print_refused(sources: list[dict[str, Any]]) -> None:
    """Who was refused lately, newest first, below the zones."""
    now = time.time()
    for number, item in enumerate(sources[:REFUSED_SHOWN]):
        if number == 0:
            typer.echo("")
        typer.echo(f"refused    {_refused(item, now)}")
    if len(sources) > REFUSED_SHOWN:
        typer.echo(
            f"refused    {many(len(sources) - REFUSED_SHOWN, 'more source')}: --json has them"
        )


def print_limited(limited: dict[str, int]) -> None:
    """What the rate limit has kept back since the start, where it has."""
    told = [
        f"{limited[key]:,} {words}"
        for key, words in (
            ("dropped", "dropped"),
            ("truncated", "cut to TC"),
            ("badcookie", "turned into BADCOOKIE"),
            ("unchanged", "without content sent as they were"),
        )
        if limited.get(key)
    ]
    if told:
        typer.echo(f"\nlimited    answers above [rrl] since the start: {', '.join(told)}")


def print_signed(signed: dict[str, int]) -> None:
    """What answers needed signed since the start, where the limit kept something back."""
    if signed.get("refused"):
        typer.echo(
            f"\nsigning    {signed['refused']:,} answers were above limits.online_signatures since "
            f"the start, {signed.get('made', 0):,} signatures were made"
        )


def print_schedule(planned: list[dict[str, Any]]) -> None:
    """What is planned next, one line each, soonest first."""
    now = time.time()
    width = max((len(item["zone"]) for item in planned), default=0)
    for item in planned:
        typer.echo(f"{when(item['at'], now)}  {item['zone'].ljust(width)}  {item['action']}")


def print_zone(zone: dict[str, Any], refused: Iterable[dict[str, Any]] = ()) -> None:
    """Everything known about a zone; of those refused, who asked for it or is its peer."""
    now = time.time()
    state = _coloured(zone["state"], zone["state"])
    rows = [("zone", zone["name"]), ("role", zone["role"]), ("state", state)]
    rows.append(("serial", _or_dash(zone["serial"])))
    if zone["serial"] is not None:
        rows.append(("records", f"{zone['records']:,}"))
        rows.append(("version", f"{_or_dash(zone['version'])} ({zone['versions']} kept)"))
        rows.append(("source", zone["source"] or "-"))
    for label, key in (("published", "published_at"), ("checked", "checked_at")):
        if zone[key] is not None:
            rows.append((label, when(zone[key], now)))
    if zone["expires_at"] is not None:
        rows.append(("expires", when(zone["expires_at"], now)))
    if zone["next_action"]:
        due = "" if zone["next_at"] is None else f" {when(zone['next_at'], now)}"
        rows.append(("next", zone["next_action"] + due))
    if zone["queries"]:
        rows.append(("queries", f"{zone['queries']:,} since the start"))
    if zone["held"] is not None:
        rows.append(("held", _held(zone["held"], zone["serial"], now)))
    rows += [("damaged", item) for item in zone["damaged"]]
    if zone["transfer"] is not None:
        rows.append(("transfer", _transfer(zone["transfer"])))
    error = zone["error"]
    if error is not None:
        told = [item["error"]["sentence"] for item in zone["primaries"] if item["error"]]
        if error["sentence"] not in told:  # else it follows its primary
            rows.append(("error", _error(error, now)))
        if error["hint"] and error["hint"] not in error["sentence"]:
            rows.append(("look at", error["hint"]))
    for item in zone["primaries"]:
        rows.append(("primary", _primary(item, now)))
        if item["error"] is not None:
            rows.append(("error", _error(item["error"], now)))
    for item in zone["secondaries"]:
        rows += _secondary(item, now)
    peers = {item["address"].partition("#")[0] for item in zone["primaries"] + zone["secondaries"]}
    rows += [
        ("refused", _refused(item, now))
        for item in refused
        if item["zone"] == zone["name"] or (not item["zone"] and item["source"] in peers)
    ]
    if zone["dnssec"] is not None:
        from xfer.cli.show_dnssec import brief

        rows += brief(zone["dnssec"], now)
    if zone["zonemd"]:
        rows.append(("zonemd", zone["zonemd"]))
    rows += [("warning", item) for item in zone["findings"]]
    for label, text in rows:
        typer.echo(f"{label:<10} {text}")


def _line(cells: tuple[str, ...], widths: list[int], state: str | None) -> None:
    padded = []
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        widths[number] = max(width, len(cell)) if number == 0 else width
        right = HEAD[number] in ("SERIAL", "RECORDS")
        text = cell.rjust(width) if right else cell.ljust(widths[number])
        padded.append(_coloured(text, state) if HEAD[number] == "STATE" else text)
    typer.echo("  ".join(padded).rstrip())


def _coloured(text: str, state: str | None) -> str:
    if state is None or not sys.stdout.isatty():
        return text
    return typer.style(text, fg=COLOURS.get(state))


def _note(zone: dict[str, Any]) -> str:
    if zone["transfer"] is not None:
        return _transfer(zone["transfer"])
    if zone["error"] is not None:
        sentence: str = zone["error"]["sentence"]
        return sentence
    signing = zone["dnssec"]
    if signing is not None and signing["error"]:
        return f"signing fails: {signing['error']}"
    if signing is not None and signing["mismatch"]:
        return f"config and signing differ: see `xfer why {zone['name']}`"
    if signing is not None and signing["warn_at"] is not None:
        now = time.time()
        if signing["ends_at"] <= now:
            return f"its signatures ended {when(signing['ends_at'], now)}: see `xfer why`"
        if signing["warn_at"] <= now:
            return f"its signatures end {when(signing['ends_at'], now)}: see `xfer why`"
    if zone["held"] is not None:
        return f"held with the content of {_rolled_back_to(zone['held'])}"
    if zone["raised"]:
        return f"{zone['source']}: see `xfer why {zone['name']}`"
    if zone["made_here"]:
        return f"{zone['source']}, not a primary's content: see `xfer why {zone['name']}`"
    known = [item for item in zone["primaries"] if item["serial"] is not None]
    if known and all(item["behind"] for item in known):
        return f"its primaries have lower serials: see `xfer why {zone['name']}`"
    return ""


def _rolled_back_to(held: dict[str, Any]) -> str:
    return _serials(held["published_serial"], held["content_serial"])


def _serials(published: int | None, content: int) -> str:
    """Of a zone that is signed here, what is served has another serial than its content."""
    if published is None or published == content:
        return f"serial {content}"
    return f"serial {published} (content serial {content})"


def _held(held: dict[str, Any], served: int | None, now: float) -> str:
    return (
        f"at {_serials(served, held['serial'])} with the content of {_rolled_back_to(held)} "
        f"(v{held['content_version']}), since {when(held['at'], now)}; its primaries are not "
        "followed until `xfer zone release`"
    )


def _transfer(transfer: dict[str, Any]) -> str:
    serial = "" if transfer["serial"] is None else f"serial {transfer['serial']} "
    return (
        f"{transfer['kind']} {serial}from {transfer['peer']}: {transfer['phase']}, "
        f"{many(transfer['records'], 'record')}"
    )


def _primary(item: dict[str, Any], now: float) -> str:
    parts = [f"{item['peer']} {item['address']}"]
    parts.append("serial unknown" if item["serial"] is None else f"serial {item['serial']}")
    if item["checked_at"] is not None:
        parts.append(f"asked {when(item['checked_at'], now)}")
    if item["transferred_at"] is not None:
        parts.append(f"transferred {when(item['transferred_at'], now)}")
    if item["behind"]:
        parts.append("lower than ours, not followed")
    if item["diverged"] is not None:
        here = " than was made here" if item["diverged_here"] else ""
        parts.append(f"had other content under serial {item['diverged']}{here}")
    if item["ixfr_broken"] is not None:
        parts.append(f"IXFR from {item['ixfr_broken']} failed")
    elif item["ixfr_timeouts"]:
        parts.append(f"IXFR timed out {many(item['ixfr_timeouts'], 'time')}")
    return ", ".join(parts)


def _error(error: dict[str, Any], now: float) -> str:
    return f"{when(error['at'], now)}: {error['sentence']}"


def _secondary(item: dict[str, Any], now: float) -> list[tuple[str, str]]:
    """How far behind it is, then what it was told, what it fetched, and what it says it has."""
    rows = [("secondary", f"{item['peer']} {item['address']}" + _lag(item))]
    told = _told(item, now)
    if told:
        rows.append(("told", told))
    if item["fetched_serial"] is not None:
        how = f" by {item['fetched_kind']}" if item["fetched_kind"] else ""
        if item["fetched_kind"] == "ixfr" and item["fetched_from"] is not None:
            how += f" from {item['fetched_from']}"
        elif item["fetched_kind"] == "soa":
            how = ": it asked, and had it already"
        rows.append(
            ("fetched", f"serial {item['fetched_serial']}{how}" + _at(item, "fetched", now))
        )
    asked = item["asked_at"]
    if asked is not None and (item["fetched_at"] is None or asked > item["fetched_at"]):
        rows.append(("asked", f"for a transfer {when(asked, now)}, and has not got it whole"))
    if item["seen_serial"] is not None:
        rows.append(
            ("has", f"serial {item['seen_serial']} by its own word" + _at(item, "seen", now))
        )
    if item["probe_error"]:
        rows.append(("has", item["probe_error"] + _at(item, "probed", now)))
    return rows


def _lag(item: dict[str, Any]) -> str:
    behind = item["lag_serials"]
    if behind is None:
        return ""
    if not behind:
        return ", up to date"
    versions = item["lag_versions"]
    what = (
        f"{behind} behind in serial" if versions is None else f"{many(versions, 'version')} behind"
    )
    return f", {what} for {_amount(item['lag_seconds'])}"


def _told(item: dict[str, Any], now: float) -> str:
    """What came of its last NOTIFY, and what follows."""
    result = f": {item['notify_result']}" if item["notify_result"] else ""
    if item["pending"] is None:
        if item["notified_serial"] is None:
            return ""
        return f"of serial {item['notified_serial']}{result}" + _at(item, "notified", now)
    if item["notify_result"] == "NOERROR":
        result = ""  # the answer to the last one that was delivered, for an older serial
    tried = f" after {many(item['tries'], 'attempt')}" if item["tries"] else ""
    told = f"not yet of serial {item['pending']}{tried}"
    if item["given_up_at"] is not None:
        told = f"not of serial {item['pending']}, given up{tried} {when(item['given_up_at'], now)}"
    elif item["next_at"] is not None:
        told += f", next {when(item['next_at'], now)}"
    return told + result


def _at(item: dict[str, Any], what: str, now: float) -> str:
    at = item[f"{what}_at"]
    return "" if at is None else f", {when(at, now)}"


def _refused(item: dict[str, Any], now: float) -> str:
    zone = f" for {item['zone']}" if item["zone"] else ""
    times = many(item["count"], "request")
    return f"{item['source']}, {times}, last{zone} {when(item['last_at'], now)}: {item['reason']}"


def when(at: float, now: float) -> str:
    """ "2026-11-22 01:02:03Z (5 min ago)"."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
    amount = _amount(abs(now - at))
    return f"{stamp} ({amount} ago)" if at <= now else f"{stamp} (in {amount})"


def _amount(seconds: float) -> str:
    """ "5 min"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def print_why(reasons: list[dict[str, Any]]) -> None:
    """A sentence a line; what matters most first, and in colour on a terminal."""
    colours = {"broken": "red", "degraded": "yellow"}
    for number, item in enumerate(reasons):
        text = item["text"] if number == 0 else f"  {item['text']}"
        colour = colours.get(item["weight"]) if sys.stdout.isatty() else None
        typer.echo(typer.style(text, fg=colour) if colour else text)


def print_versions(versions: list[dict[str, Any]]) -> None:
    """One line a version, newest first; the one that is served has a star."""
    now = time.time()
    if not versions:
        typer.echo("no version is kept")
        return
    typer.echo(
        f"  {'VERSION':<8}  {'SERIAL':>10}  {'RECORDS':>9}  {'CHANGES':<16}  WHEN, FROM WHOM"
    )
    for item in versions:
        changes = "-"
        if item["added"] is not None and item["removed"] is not None:
            changes = f"+{item['added']} −{item['removed']}"
        star = "*" if item["served"] else " "
        typer.echo(
            f"{star} {'v' + str(item['version']):<8}  {item['serial']:>10}  {item['records']:>9}  "
            f"{changes:<16}  {when(item['at'], now)}, {item['source']}"
        )


def print_diff(text: str) -> None:
    """Lines of a diff; on a terminal in the colours that diffs have."""
    if not sys.stdout.isatty():
        typer.echo(text, nl=False)
        return
    for line in text.splitlines():
        typer.echo(typer.style(line, fg={"-": "red", "+": "green"}.get(line[:1])))

"""What commands that change a zone's content say, and when they ask."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from xfer.cli.change import has_news, published, show_change, tell, tell_change, user


def found(**other: Any) -> dict[str, Any]:
    """What the daemon says of a change of one record."""
    return {
        "zone": "example.com.",
        "changed": True,
        "comments": 0,
        "serial_from": 5,
        "serial_to": 6,
        "version": 3,
        "added": 1,
        "removed": 0,
        "records": 2000,
        "diff": "+www.example.com.\t300\tIN\tA\t192.0.2.1\n",
        "more": 0,
        "findings": [],
        "note": "",
        **other,
    }


NOTHING: dict[str, Any] = {"changed": False, "serial_to": 5, "added": 0, "diff": ""}


class Daemon:
    """Says `answer`, and remembers what it was asked."""

    def __init__(self, **answer: Any) -> None:
        self.answer = found(**answer)
        self.asked: list[tuple[bool, int | None]] = []

    def send(self, *, dry_run: bool = False, if_version: int | None = None) -> dict[str, Any]:
        self.asked.append((dry_run, if_version))
        return self.answer


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What somebody answers, in turn; asked beyond that, the test fails."""
    answers: list[bool] = []
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answers.pop(0))
    return answers


DRY = (True, None)


def test_yes_publishes_at_once(says: list[bool]) -> None:
    daemon = Daemon()
    assert published(daemon.send, yes=True, dry_run=False) is daemon.answer
    assert daemon.asked == [(False, None)]


@pytest.mark.parametrize("yes", [False, True])
def test_a_dry_run_publishes_nothing(yes: bool, says: list[bool]) -> None:
    daemon = Daemon()
    assert published(daemon.send, yes=yes, dry_run=True) is daemon.answer
    assert daemon.asked == [DRY]


@pytest.mark.parametrize(("version", "expected"), [(3, 3), (None, 0)])
def test_published_is_what_was_looked_at(
    version: int | None, expected: int, says: list[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon(version=version)
    says.append(True)
    published(daemon.send, yes=False, dry_run=False)
    assert daemon.asked == [DRY, (False, expected)]
    assert "192.0.2.1" in capsys.readouterr().out


def test_a_no_changes_nothing_and_is_a_failure(
    says: list[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon()
    says.append(False)
    with pytest.raises(typer.Exit) as exit:
        published(daemon.send, yes=False, dry_run=False)
    assert (exit.value.exit_code, daemon.asked) == (1, [DRY])
    assert capsys.readouterr().err == "nothing was changed\n"


def test_nobody_is_asked_about_nothing(says: list[bool]) -> None:
    daemon = Daemon(**NOTHING)
    published(daemon.send, yes=False, dry_run=False)
    assert daemon.asked == [DRY]


def test_comments_alone_are_asked_about(says: list[bool]) -> None:
    daemon = Daemon(**NOTHING, comments=2)
    says.append(True)
    published(daemon.send, yes=False, dry_run=False)
    assert len(daemon.asked) == 2


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({}, "example.com. serial 5 → 6 is served: +1 −0, 2,000 records"),
        ({"serial_from": None}, "example.com. serial 6 is served: +1 −0, 2,000 records"),
        ({"comments": 1}, "example.com. serial 5 → 6 is served: +1 −0, 2,000 records, 1 comment"),
        (NOTHING, "example.com. has that content already, serial 5"),
        (
            {**NOTHING, "comments": 2},
            "example.com. has that content already, serial 5; 2 comments changed",
        ),
    ],
)
def test_what_was_changed_is_one_line(
    other: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_change(found(**other))
    assert capsys.readouterr() == (line + "\n", "")


def test_what_would_change_comes_with_all_that_decides(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_change(found(more=1500, findings=["a CNAME beside an A"], note="it is a secondary's"))
    out, err = capsys.readouterr()
    assert "192.0.2.1" in out
    assert out.splitlines()[-1] == "example.com. serial 5 → 6: +1 −0, 2,000 records"
    assert err.splitlines() == [
        "… and 1,500 changed records more",
        "xfer: warning: a CNAME beside an A",
        "it is a secondary's",
    ]


def test_findings_of_what_is_served_already_are_not_told_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_change(found(**NOTHING, findings=["a CNAME beside an A"]))
    assert capsys.readouterr().err == ""


def test_json_is_all_of_it_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    tell(found(), dry_run=True, as_json=True)
    out, err = capsys.readouterr()
    assert out.startswith('{"zone": "example.com."')
    assert err == ""


def test_news_are_records_or_comments() -> None:
    assert has_news(found())
    assert has_news(found(**NOTHING, comments=1))
    assert not has_news(found(**NOTHING))


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", unknown)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert user() == "user 4711"

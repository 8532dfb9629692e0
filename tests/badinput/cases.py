"""The whole table of bad input."""

from __future__ import annotations

from tests.badinput import cases_message, cases_record, cases_tsig, cases_zone
from tests.badinput.case import Case

CASES: list[Case] = [
    *cases_message.CASES,
    *cases_record.CASES,
    *cases_zone.CASES,
    *cases_tsig.CASES,
]

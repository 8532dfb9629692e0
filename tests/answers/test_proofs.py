"""The validator is worth something: it believes BIND, and no longer with a record less."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from tests.answers import zones
from tests.answers.allowed import Case, alike, explain
from tests.answers.client import ask
from tests.answers.denials import Invalid
from tests.answers.message import (
    CNAME,
    MX,
    NSEC,
    NSEC3,
    RRSIG,
    TXT,
    A,
    Message,
    Query,
    Record,
    covered,
    name_wire,
    parse,
)
from tests.answers.proofs import Validator
from tests.answers.signing import Form, sign
from tests.answers.world import ZoneFile, ZoneIndex, indexes
from tests.peers import Named, PrimaryZone

pytestmark = pytest.mark.lab

FORMS = (Form.NSEC, Form.NSEC3, Form.OPT_OUT)
QUESTIONS = (
    ("doesnotexist", A),
    ("x.doesnotexist.www", A),
    ("www", MX),
    ("ent", A),
    ("any.wild", A),
    ("any.wild", MX),
    ("idel1", A),
    ("idel1", 43),
    ("cnx", A),
    ("zz.dn", TXT),
)


@attrs.frozen
class Bind:
    """A running BIND and what it serves."""

    server: Named
    zones: dict[Form, ZoneIndex]
    validator: Validator

    def ask(self, form: Form, name: str, qtype: int) -> tuple[Case, bytes]:
        zone = self.zones[form]
        wire = name_wire(f"{name}.")[:-1] + zone.apex
        query = Query(wire, qtype, 1232, do=True, tcp=True)
        (answer,) = ask(self.server.address, self.server.port, [query])
        return Case(query, "", zone, frozenset({zone.apex})), answer


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    directory = tmp_path_factory.mktemp("signing")
    files = []
    for form in FORMS:
        name = f"{form.name.lower().replace('_', '-')}.test."
        files.append(ZoneFile(name, form, sign(zones.shapes(1), name, form, directory)))
    with Named([PrimaryZone(file.name, file.text) for file in files]) as server:
        for file in files:
            server.wait_serving(file.name, 7)
        found = indexes(server, files)
        yield Bind(server, {zone.form: zone for zone in found}, Validator(found, {}))


def without(message: Message, owner: bytes, rtype: int) -> Message:
    """The message without an RRset of its authority section, and its RRSIG."""
    return attrs.evolve(
        message,
        authority=frozenset(
            record
            for record in message.authority
            if record.owner != owner
            or (covered(record) if record.rtype == RRSIG else record.rtype) != rtype
        ),
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize(("name", "qtype"), QUESTIONS)
def test_a_proof_is_believed_and_not_with_an_nsec_less(
    bind: Bind, form: Form, name: str, qtype: int
) -> None:
    case, wire = bind.ask(form, name, qtype)
    assert bind.validator.check(case, wire) == ""
    message = parse(wire, exact=True)
    proofs = {(r.owner, r.rtype) for r in message.authority if r.rtype in (NSEC, NSEC3)}
    assert proofs
    for owner, rtype in proofs:
        with pytest.raises(Invalid):
            bind.validator.judge(case, without(message, owner, rtype))


def test_a_changed_record_is_not_believed(bind: Bind) -> None:
    case, wire = bind.ask(Form.NSEC, "www", A)
    message = parse(wire, exact=True)

    def changed(record: Record) -> Record:
        if record.rtype != A:
            return record
        return record._replace(rdata=record.rdata[:-1] + b"\x63")

    with pytest.raises(Invalid):
        bind.validator.judge(
            case, attrs.evolve(message, answer=frozenset(map(changed, message.answer)))
        )


def test_an_unsigned_record_is_not_believed(bind: Bind) -> None:
    case, wire = bind.ask(Form.NSEC, "www", A)
    message = parse(wire, exact=True)
    unsigned = frozenset(record for record in message.answer if record.rtype != RRSIG)
    with pytest.raises(Invalid):
        bind.validator.judge(case, attrs.evolve(message, answer=unsigned))


@pytest.mark.parametrize(("name", "qtype"), [*QUESTIONS, ("c1", A), ("www", A), ("sdel1", A)])
def test_no_rule_explains_a_lost_record_or_another_rcode(bind: Bind, name: str, qtype: int) -> None:
    case, wire = bind.ask(Form.NSEC, name, qtype)
    message = parse(wire)
    assert alike(message, message)
    faults = [
        attrs.evolve(message, rcode=0 if message.rcode else 3),
        attrs.evolve(message, flags=message.flags ^ {"AA"}),
    ]
    if len(message.answer) == 1 or {r.rtype for r in message.answer} != {CNAME, RRSIG}:
        faults += [
            attrs.evolve(message, answer=message.answer - {record})
            for record in message.answer
            if record.rtype != RRSIG
        ]
    faults += [
        without(message, record.owner, record.rtype)
        for record in message.authority
        if record.rtype not in (RRSIG, NSEC) and not message.answer
    ]
    for fault in faults:
        assert explain(case, message, fault) is None

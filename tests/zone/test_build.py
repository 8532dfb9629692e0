"""Building snapshots: any order, any messages, blocks shared with the version before."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    ORIGIN,
    Entry,
    apex,
    batches,
    entries,
    host,
    message,
    parse,
    shuffled,
    wire,
)
from xfer.errors import TransferError, ZoneRejected
from xfer.wire import names, records
from xfer.wire.parse import Batch
from xfer.zone.block import LARGEST, OCTETS, SMALLEST, Block
from xfer.zone.build import Builder
from xfer.zone.check import OWNER_LIMIT, Grade, Policy
from xfer.zone.snapshot import Snapshot

LAX = Policy(
    {
        "cname-and-other": Grade.WARN,
        "several-cnames": Grade.WARN,
        "several-dnames": Grade.WARN,
        "soa-below-apex": Grade.WARN,
    }
)
ZONE = apex() + [host(n) for n in range(20_000)]


def build(
    listed: list[bytes], size: int = 500, previous: Snapshot | None = None, policy: Policy = LAX
) -> Snapshot:
    builder = Builder(ORIGIN, policy, previous)
    for batch in batches(listed, size):
        builder.add(batch)
    return finish(builder)


def finish(builder: Builder) -> Snapshot:
    while builder.step():
        pass
    return builder.snapshot()


def held(snapshot: Snapshot) -> list[bytes]:
    return list(snapshot.records())


def check_cuts(snapshot: Snapshot) -> None:
    """No RRset stands in two blocks, and blocks have the sizes they should have."""
    for before, after in zip(snapshot.blocks, snapshot.blocks[1:], strict=False):
        assert before.last < after.first
        assert not after.first.startswith(before.last[: records.rrset_end(before.last)])
        assert before.count >= SMALLEST or len(before.data) >= OCTETS // 4


class TestOrder:
    @pytest.mark.parametrize("size", [1, 7, 500, 20_002])
    def test_any_split_into_messages(self, size: int) -> None:
        assert held(build(ZONE, size)) == ZONE

    @pytest.mark.parametrize(
        "order",
        [
            shuffled(ZONE),
            ZONE[::-1],
            ZONE[1::2] + ZONE[::2],
            ZONE[10_000:] + ZONE[:10_000],
            [*ZONE[1:], ZONE[0]],
            sorted(ZONE, key=lambda record: record[-1]),
        ],
        ids=["shuffled", "backwards", "halves", "rotated", "late", "by last octet"],
    )
    def test_any_order_gives_the_same_zone(self, order: list[bytes]) -> None:
        snapshot = build(order)
        assert held(snapshot) == ZONE
        check_cuts(snapshot)
        assert max(block.count for block in snapshot.blocks) <= LARGEST

    @settings(max_examples=30)
    @given(st.lists(entries(), max_size=30), st.integers(1, 9), st.randoms(use_true_random=False))
    def test_content_and_spelling_do_not_depend_on_order(
        self, listed: list[Entry], size: int, rng: random.Random
    ) -> None:
        # One TTL and one spelling a record, so that nothing is mended.
        once = {entry.record(ORIGIN): entry for entry in (_at(e, 3600) for e in listed)}
        chosen = list(once.values())
        rng.shuffle(chosen)
        builder = Builder(ORIGIN, LAX)
        for start in range(0, len(chosen), size):
            builder.add(parse(message([e.wire() for e in chosen[start : start + size]])))
        builder.add(batches(apex(), 2)[0])
        snapshot = finish(builder)
        assert held(snapshot) == sorted({*once, *apex()})
        expected = {
            record: (e.owner, e.rdata)
            for record, e in once.items()
            if (e.owner, e.rdata) != (e.owner.lower(), records.split(record)[4])
        }
        assert snapshot.spelling() == expected

    def test_spelling_survives_disorder(self) -> None:
        order = shuffled(ZONE)
        builder = Builder(ORIGIN, LAX)
        for batch in batches(order, 300):
            for record in batch.records:
                if record not in ZONE[:2]:
                    owner = names.wire_of(record[: records.key_end(record)], ORIGIN)
                    batch.spelling[record] = (owner.upper(), record[-4:])
            builder.add(batch)
        snapshot = finish(builder)
        assert held(snapshot) == ZONE
        assert len(snapshot.spelling()) == 20_000
        assert snapshot.spelled(host(9))[0] == b"\x08H0000009\7EXAMPLE\4TEST\0"

    def test_the_same_records_many_times(self) -> None:
        builder = Builder(ORIGIN, LAX)
        for _ in range(3):
            for batch in batches(ZONE, 1000):
                builder.add(batch)
        assert held(finish(builder)) == ZONE
        assert {finding.rule for finding in builder.findings()} == {"duplicate"}

    def test_one_record_ten_thousand_times(self) -> None:
        assert held(build(apex() + [host(1)] * 30_000 + [host(0)] * 10_000)) == [
            *apex(),
            host(0),
            host(1),
        ]

    def test_blocks_taken_early_are_those_of_the_version(self) -> None:
        builder = Builder(ORIGIN, LAX)
        taken: list[Block] = []
        for batch in batches(ZONE, 500):
            builder.add(batch)
            taken += builder.take_ready()
        assert len(taken) >= 5
        snapshot = finish(builder)
        taken += builder.take_ready()
        assert [block.digest for block in taken] == [block.digest for block in snapshot.blocks]


def _at(entry: Entry, ttl: int) -> Entry:
    return Entry(entry.owner, entry.rtype, ttl, entry.rdata)


class TestSharing:
    def test_same_zone_has_the_same_blocks(self) -> None:
        first = build(ZONE)
        for order in (ZONE, shuffled(ZONE), ZONE[::-1]):
            assert build(order, previous=first).root == first.root

    @pytest.mark.parametrize("where", [2, 3, 1000, 5999, 10_000, 20_001])
    def test_one_change_costs_few_blocks(self, where: int) -> None:
        first = build(ZONE)
        known = {block.digest for block in first.blocks}
        gone = ZONE[:where] + ZONE[where + 1 :]
        more = sorted([*ZONE, _other(ZONE[where])])
        changed = sorted([*gone, _other(ZONE[where])])
        for edited in (gone, more, changed):
            second = build(edited, previous=first)
            assert held(second) == edited
            fresh = [b for b in second.blocks if b.digest not in known]
            assert 1 <= len(fresh) <= 3

    def test_edits_at_random_over_many_versions(self) -> None:
        rng = random.Random(5)
        version = build(ZONE)
        held_now = set(ZONE)
        for _ in range(6):
            known = {block.digest for block in version.blocks}
            edits = rng.sample(sorted(held_now - set(apex())), 5)
            held_now -= set(edits[:3])
            held_now |= {_other(record) for record in edits[3:]}
            at = rng.randrange(20_000, 900_000)
            held_now |= {host(n) for n in range(at, at + rng.choice([1, 900]))}
            version = build(sorted(held_now), previous=version)
            assert held(version) == sorted(held_now)
            check_cuts(version)
            assert len([b for b in version.blocks if b.digest not in known]) <= 3 * 7

    def test_large_removal_and_growth(self) -> None:
        first = build(ZONE)
        for edited in (
            ZONE[:5000] + ZONE[15_000:],
            apex(),
            apex() + [host(n) for n in range(60_000)],
        ):
            second = build(edited, previous=first)
            assert held(second) == edited
            check_cuts(second)

    def test_large_records_are_shared_too(self) -> None:
        zone = apex() + [_text(n, 20_000) for n in range(400)]
        first = build(zone, 3)
        known = {block.digest for block in first.blocks}
        changed = sorted([*zone[:150], *zone[151:], _text(152, 9_000)])
        second = build(changed, 3, first)
        assert held(second) == changed
        assert len(first.blocks) > 3
        assert len([b for b in second.blocks if b.digest not in known]) <= 3


def _other(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 0x55])


def _text(number: int, size: int) -> bytes:
    key = names.key_of(wire([b"t%05d" % number], ORIGIN), ORIGIN)
    return records.make(key, 65280, 60, bytes(size))


def many(owner: bytes, count: int, rtype: int = records.A) -> list[bytes]:
    """So many records at one owner name."""
    key = names.key_of(wire([owner], ORIGIN), ORIGIN)
    return [records.make(key, rtype, 60, n.to_bytes(4, "big")) for n in range(count)]


class TestLargeThings:
    @pytest.mark.parametrize("size", [1, 1000])
    def test_rrset_is_never_split_over_blocks(self, size: int) -> None:
        zone = sorted(
            apex() + [host(n) for n in range(3000)] + many(b"big", 3900) + many(b"big", 3950, 1234)
            + [host(n) for n in range(9_000_000, 9_003_000)] + many(b"z", 3000)
        )  # fmt: skip
        for order in (zone, shuffled(zone)):
            snapshot = build(order, size)
            assert held(snapshot) == zone
            check_cuts(snapshot)

    def test_owner_with_many_rrsets_is_cut_between_them(self) -> None:
        zone = sorted(apex() + [r for t in range(1000, 1040) for r in many(b"x", 300, t)])
        snapshot = build(zone)
        assert held(snapshot) == zone
        check_cuts(snapshot)
        assert len(snapshot.blocks) >= 4

    def test_blocks_of_large_records_are_cut_by_octets(self) -> None:
        zone = apex() + [_text(n, 60_000) for n in range(200)]
        for order in (zone, shuffled(zone)):
            snapshot = build(order, 1)
            assert held(snapshot) == zone
            assert max(len(block.data) for block in snapshot.blocks) < OCTETS + 70_000

    def test_large_owner_from_a_sender_of_one_record_a_message(self) -> None:
        zone = apex() + [r for t in range(1000, 1016) for r in many(b"x", 2500, t)]
        assert held(build(sorted(zone), 1)) == sorted(zone)

    def test_owners_below_the_limit_are_not_refused_together(self) -> None:
        rrsets = [r for t in range(1000, 1017) for r in many(b"a", 2900, t)]
        assert len(rrsets) < OWNER_LIMIT
        zone = sorted(apex() + rrsets) + [host(n) for n in range(3000)]
        assert held(build(zone, 3000)) == zone

    @pytest.mark.parametrize("order", ["sorted", "shuffled"])
    def test_owner_above_the_limit_is_refused(self, order: str) -> None:
        rrsets = [r for t in range(1000, 1026) for r in many(b"a", 2000, t)]
        zone = apex() + rrsets
        for listed in (sorted(zone), [*sorted(zone), host(1)]):
            if order == "shuffled":
                listed = shuffled(listed)
            with pytest.raises(ZoneRejected, match=r"at most 50000 records .* more at a\.example"):
                build(listed, 3000)


class TestLimits:
    def test_records(self) -> None:
        builder = Builder(ORIGIN, LAX, None, 10)
        builder.add(batches(ZONE, 10)[0])
        with pytest.raises(TransferError, match=r"at most 10 records \(limits\.max_zone_records\)"):
            builder.add(batches(ZONE, 1)[0])

    def test_octets_of_records_and_spellings(self) -> None:
        size = len(ZONE[5])
        builder = Builder(ORIGIN, LAX, None, 0, 3 * size)
        for n in (5, 6, 7):
            builder.add(batches([ZONE[n]], 1)[0])
        with pytest.raises(TransferError, match=r"limits\.max_zone_bytes"):
            builder.add(batches([ZONE[8]], 1)[0])
        spelled = Batch()
        spelled.add(ZONE[5], (bytes(200), bytes(200)))
        with pytest.raises(TransferError, match=r"limits\.max_zone_bytes"):
            Builder(ORIGIN, LAX, None, 0, 3 * size).add(spelled)

    def test_records_outside_the_zone_count(self) -> None:
        builder = Builder(ORIGIN, LAX, None, 10)
        batch = Batch()
        batch.outside = [(b"\1x\0", 1, 0)] * 11
        with pytest.raises(TransferError, match=r"limits\.max_zone_records"):
            builder.add(batch)


class TestVerdict:
    """What the checks make of a zone does not depend on when disorder shows."""

    RULES = (
        "ttl-mismatch", "duplicate", "out-of-zone", "cname-and-other", "several-cnames",
        "several-dnames", "soa-below-apex", "rrset-size", "ds-at-apex", "wildcard-ns",
    )  # fmt: skip

    def faulty(self, rule: str) -> tuple[list[bytes], list[tuple[bytes, int, int]]]:
        key = names.key_of(wire([b"h0000100a"], ORIGIN), ORIGIN)
        two = [records.make(key, records.A, t, b"\1\2\3" + bytes([t])) for t in (1, 2)]
        wildcard = names.key_of(wire([b"*", b"h0000100a"], ORIGIN), ORIGIN)
        cname = [records.make(key, records.CNAME, 1, bytes([1, 97 + n, 0])) for n in range(2)]
        dname = [records.make(key, records.DNAME, 1, bytes([1, 97 + n, 0])) for n in range(2)]
        faults: dict[str, list[bytes]] = {
            "ttl-mismatch": two,
            "duplicate": two[:1] * 2,
            "out-of-zone": [],
            "cname-and-other": [two[0], cname[0]],
            "several-cnames": cname,
            "several-dnames": dname,
            "ds-at-apex": [records.make(b"\0", records.DS, 1, b"\0\1\15\2" + bytes(32))],
            "wildcard-ns": [
                records.make(wildcard, records.NS, 1, bytes([1, 97 + n, 0])) for n in (1, 2)
            ],
            "soa-below-apex": [records.make(key, 6, 1, b"\0\0" + bytes(20))],
            "rrset-size": [
                records.make(key, records.TXT, 1, bytes([n]) * 30_000) for n in range(4)
            ],
        }
        outside = [(b"\1x\0", 1, 0)] if rule == "out-of-zone" else []
        return faults[rule], outside

    @pytest.mark.parametrize("grade", list(Grade), ids=lambda grade: str(grade.value))
    @pytest.mark.parametrize("rule", RULES)
    def test_same_verdict_and_records_in_any_order(self, rule: str, grade: Grade) -> None:
        try:
            policy = Policy({rule: grade})
        except ValueError as refused:
            assert grade.value in str(refused)
            return
        bad, outside = self.faulty(rule)
        zone = sorted(ZONE[:9000] + bad)
        half = sorted(ZONE[:9000] + bad[: len(bad) // 2 + 1])
        orders = [
            zone,
            # Disorder after the fault was looked at, before it, and through the midst of it.
            [r for r in zone if r not in ZONE[5:8]] + ZONE[5:8],
            ZONE[5000:9000] + [r for r in zone if r not in ZONE[5000:9000]],
            half + bad[len(bad) // 2 + 1 :],
            shuffled(zone),
        ]
        results = []
        for order in orders:
            builder = Builder(ORIGIN, policy)
            first = True
            for batch in batches(order, 400):
                if first:
                    batch.outside = outside
                    first = False
                builder.add(batch)
            try:
                snapshot = finish(builder)
            except ZoneRejected as rejected:
                assert rejected.rule == rule
                results.append((rule, b""))
            else:
                results.append(("", b"".join(held(snapshot))))
            assert {finding.rule for finding in builder.findings()} == {rule}
        assert results == [results[0]] * len(orders)
        assert (results[0][0] == rule) == (grade is Grade.REJECT)

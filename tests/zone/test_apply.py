"""Changes applied: strictly, to touched blocks only, with the checks that a whole zone gets."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import (
    ORIGIN,
    Entry,
    apex,
    batches,
    host,
    message,
    ns_entry,
    parse,
    shuffled,
    wire,
)
from tests.zone.changing import LAX, applied, batch, content, feed, listed, split, versions
from tests.zone.changing import build as build_small
from tests.zone.test_build import build, check_cuts, held, many
from xfer.errors import ChangeRefused, TransferError, ZoneRejected
from xfer.wire import names, records
from xfer.wire.records import key_end
from xfer.zone.apply import Applier, apply, between
from xfer.zone.block import LARGEST, OCTETS, SMALLEST, Block, patched
from xfer.zone.changeset import diff, invert
from xfer.zone.check import OWNER_LIMIT, Grade, Policy
from xfer.zone.deltas import Deltas, identity
from xfer.zone.snapshot import Snapshot

ZONE = apex() + [host(n) for n in range(20_000)]
SOAS = [apex(serial=serial)[1] for serial in range(9)]
BASE = build(ZONE)
POLICY = Policy()


def deltas_of(gone: list[bytes], come: list[bytes], serial: int = 1) -> Deltas:
    """A delta from a serial to the next."""
    deltas = Deltas(ORIGIN, serial)
    deltas.delete(batch([SOAS[serial], *gone], None))
    deltas.add(batch([SOAS[serial + 1], *come], None))
    return deltas


def txt(number: int) -> bytes:
    """Beside the address of a host."""
    key = host(number)[: key_end(host(number))]
    return records.make(key, records.TXT, 300, b"\1x")


def other(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 0x55])


def check_sizes(snapshot: Snapshot) -> None:
    check_cuts(snapshot)
    for block in snapshot.blocks:
        assert block.count <= LARGEST


class TestProperties:
    @given(versions(2))
    def test_apply_is_the_other_side_of_diff(self, pair: list[Snapshot]) -> None:
        old, new = pair
        before = content(old)
        changes = diff(old, new)
        result = apply(old, changes, LAX)
        assert content(result) == content(new)
        assert content(apply(result, invert(changes), LAX)) == before
        assert content(old) == before

    @given(versions(4), st.integers(1, 9))
    def test_deltas_do_together_what_they_do_one_by_one(
        self, line: list[Snapshot], size: int
    ) -> None:
        deltas = Deltas(ORIGIN, 1)
        stepwise = line[0]
        for old, new in pairwise(line):
            feed(deltas, diff(old, new), size)
            stepwise = apply(stepwise, diff(old, new), LAX)
        applier = applied(line[0], deltas)
        assert content(applier.snapshot()) == content(line[-1]) == content(stepwise)
        assert listed(applier.changeset()) == listed(diff(line[0], line[-1]))

    @given(versions(2), st.randoms(use_true_random=False))
    def test_removals_match_whatever_ttl_case_and_order(
        self, pair: list[Snapshot], rng: random.Random
    ) -> None:
        old, new = pair
        changes = diff(old, new)
        removed = []
        for record in changes.removed:
            key, rtype, _, _, rdata = records.split(record)
            # NSEC's next name keeps its case (RFC 6840 §5.1), so it has to come as it was.
            owner = names.wire_of(key, ORIGIN).upper()
            removed.append(Entry(owner, rtype, rng.choice([0, 5, 2**31 - 1]), rdata))
        added = [Entry(*_spelled(record, changes.spelling_added)) for record in changes.added]
        rng.shuffle(removed)
        rng.shuffle(added)
        deltas = Deltas(ORIGIN, 1)
        deltas.delete(parse(message([entry.wire() for entry in removed])))
        deltas.add(parse(message([entry.wire() for entry in added])))
        applier = applied(old, deltas)
        assert content(applier.snapshot()) == content(new)
        assert listed(applier.changeset()) == listed(changes)

    @given(versions(2), st.data())
    def test_a_delta_that_does_not_fit_changes_nothing(
        self, pair: list[Snapshot], data: st.DataObject
    ) -> None:
        old, new = pair
        before = content(old)
        there = [r for r in before[0] if r != old.soa]
        changes = diff(old, new)
        wrong = data.draw(st.sampled_from(["absent", "present"]))
        deltas = Deltas(ORIGIN, 1)
        feed(deltas, changes)
        touched = {identity(r) for r in (*changes.removed, *changes.added)}
        if wrong == "absent":
            deltas.delete(batch([host(data.draw(st.integers(0, 9)))], None))
        else:
            kept = [r for r in there if identity(r) not in touched]
            if not kept:
                return
            deltas.add(batch([data.draw(st.sampled_from(kept))], None))
        with pytest.raises(ChangeRefused):
            applied(old, deltas)
        assert content(old) == before


def _spelled(
    record: bytes, spelling: dict[bytes, tuple[bytes, bytes]]
) -> tuple[bytes, int, int, bytes]:
    key, rtype, _, ttl, rdata = records.split(record)
    owner, shown = spelling.get(record, (names.wire_of(key, ORIGIN), rdata))
    return owner, rtype, ttl, shown


class TestBlocks:
    @pytest.mark.parametrize("where", [2, 3, 1000, 5999, 10_000, 20_001])
    def test_one_change_rewrites_its_block_and_the_apex(self, where: int) -> None:
        old = BASE
        known = {block.digest for block in old.blocks}
        record = ZONE[where]
        for gone, come in (([record], []), ([], [other(record)]), ([record], [other(record)])):
            applier = applied(old, deltas_of(gone, come), POLICY)
            new = applier.snapshot()
            expected = sorted((set(ZONE) - {SOAS[1], *gone}) | {SOAS[2], *come})
            assert held(new) == expected
            check_sizes(new)
            assert len([b for b in new.blocks if b.digest not in known]) <= 2
            changes = applier.changeset()
            assert changes.removed == [SOAS[1], *gone]
            assert changes.added == [SOAS[2], *come]
            assert (changes.serial_from, changes.serial_to) == (1, 2)

    def test_small_changes_are_patches_of_the_blocks_they_touch(self) -> None:
        """Also at an owner name that two blocks share."""
        zone = sorted(apex() + [host(n) for n in range(9000)] + [txt(n) for n in range(1, 9000)])
        old = build(zone)
        edge = old.blocks[2].first
        assert old.blocks[1].last[: key_end(edge)] == edge[: key_end(edge)]
        for gone in ([edge], [edge, *zone[600:9000:500]]):
            new = applied(old, deltas_of(gone, [other(r) for r in gone]), POLICY).snapshot()
            assert len(new.blocks) == len(old.blocks)
            for before, after in zip(old.blocks, new.blocks, strict=True):
                if after.digest != before.digest:
                    assert after.base == before.digest
                    assert patched(before.data, after.patch) == after.data
                    assert after.data == Block.make(after.records(), {}).data

    @pytest.mark.parametrize("seed", range(4))
    def test_edits_at_random_over_many_versions(self, seed: int) -> None:
        rng = random.Random(seed)
        version = BASE
        now = set(ZONE[2:])
        for serial in range(1, 8):
            gone = rng.sample(sorted(now), rng.choice([0, 1, 5, 300, 6000]))
            if rng.random() < 0.5:
                at = rng.randrange(len(now))
                gone = sorted(now)[at : at + rng.choice([10, 1500, 5000])]
            at = rng.randrange(0, 40_000)
            come = [host(n) for n in range(at, at + rng.choice([1, 100, 9000]))]
            come = [record for record in come if record not in now or record in gone]
            now = now - set(gone) | set(come)
            rng.shuffle(gone)
            rng.shuffle(come)
            applier = applied(version, deltas_of(gone, come, serial), POLICY)
            before, version = version, applier.snapshot()
            assert held(version) == sorted([*now, SOAS[serial + 1], ZONE[0]])
            check_sizes(version)
            assert listed(applier.changeset()) == listed(diff(before, version))

    @pytest.mark.parametrize(
        ("start", "stop"), [(2, 20_002), (2, 6_000), (4_000, 16_000), (14_000, 20_002), (3, 20_002)]
    )
    def test_blocks_that_become_empty_are_gone(self, start: int, stop: int) -> None:
        version = applied(BASE, deltas_of(ZONE[start:stop], []), POLICY).snapshot()
        assert held(version) == sorted([ZONE[0], SOAS[2], *ZONE[2:start], *ZONE[stop:]])
        check_sizes(version)

    def test_blocks_that_become_small_are_joined(self) -> None:
        old = BASE
        assert len(old.blocks) > 4
        for number in range(1, len(old.blocks)):
            gone = old.blocks[number].records()[3:-3]
            version = applied(old, deltas_of(gone, []), POLICY).snapshot()
            assert version.count == len(ZONE) - len(gone)
            check_sizes(version)
            assert min(block.count for block in version.blocks) >= SMALLEST

    @pytest.mark.parametrize("at", [0, 9_999, 40_000])
    def test_blocks_that_become_large_are_cut(self, at: int) -> None:
        listed_now = [host(n) for n in range(0, 40_000, 2)]
        come = [host(n) for n in range(at + 1 - at % 2, at + 30_000, 2)]
        version = applied(
            build(apex() + listed_now), deltas_of([], shuffled(come)), POLICY
        ).snapshot()
        assert held(version) == sorted([ZONE[0], SOAS[2], *listed_now, *come])
        check_sizes(version)
        assert min(block.count for block in version.blocks) >= SMALLEST

    def test_blocks_are_cut_by_octets_too(self) -> None:
        def text(number: int) -> bytes:
            key = names.key_of(wire([b"t%05d" % number], ORIGIN), ORIGIN)
            return records.make(key, 65280, 60, bytes(60_000))

        version = applied(BASE, deltas_of([], [text(n) for n in range(200)])).snapshot()
        assert version.count == len(ZONE) + 200
        check_cuts(version)
        assert max(len(block.data) for block in version.blocks) < OCTETS + 70_000
        gone = [text(n) for n in range(200) if n % 9]
        version = applied(version, deltas_of(gone, [], 2)).snapshot()
        assert version.count == len(ZONE) + 23
        check_cuts(version)

    def test_an_owner_in_many_blocks_is_changed_and_checked_as_one(self) -> None:
        rrsets = [record for rtype in range(1000, 1040) for record in many(b"x", 300, rtype)]
        zone = sorted(apex() + rrsets)
        old = build(zone)
        assert len(old.blocks) > 3
        come = many(b"x", 400, 1020)[300:]
        gone = rrsets[::7]
        applier = applied(old, deltas_of(gone, come), POLICY)
        expected = sorted((set(zone) - {SOAS[1], *gone}) | {SOAS[2], *come})
        assert held(applier.snapshot()) == expected
        check_sizes(applier.snapshot())
        cname = records.make(names.key_of(wire([b"x"], ORIGIN), ORIGIN), records.CNAME, 5, ORIGIN)
        with pytest.raises(ZoneRejected, match="cname-and-other"):
            applied(old, deltas_of([], [cname]), POLICY)

    def test_an_rrset_stays_in_one_block(self) -> None:
        zone = sorted(apex() + [host(n) for n in range(3000)] + many(b"hb", 2900))
        come = many(b"hb", 3990)[2900:]
        version = applied(build(zone), deltas_of([], come), POLICY).snapshot()
        assert held(version) == sorted([*(set(zone) - {SOAS[1]}), SOAS[2], *come])
        check_sizes(version)

    def test_large_changes_of_one_owner(self) -> None:
        rrsets = [r for t in range(1000, 1016) for r in many(b"a", 2500, t)]
        version = applied(BASE, deltas_of([], shuffled(rrsets)), POLICY).snapshot()
        assert version.count == len(ZONE) + len(rrsets)
        check_sizes(version)
        assert held(applied(version, deltas_of(rrsets, [], 2), POLICY).snapshot())[2:] == ZONE[2:]

    def test_an_owner_beyond_all_limits_is_refused(self) -> None:
        rrsets = [r for t in range(1000, 1060) for r in many(b"a", 2000, t)]
        assert len(rrsets) > 2 * OWNER_LIMIT
        with pytest.raises(ZoneRejected, match=r"at most 50000 records .* more at a\.example"):
            applied(BASE, deltas_of([], rrsets), POLICY)
        with pytest.raises(ZoneRejected, match=r"at most 50000 records .* more at a\.example"):
            applied(BASE, deltas_of([], rrsets[:60_000]), POLICY)

    def test_each_call_is_bounded(self) -> None:
        old = BASE
        come = [host(n) for n in range(100_000, 160_000)]
        applier = Applier(old, deltas_of(ZONE[2::3], shuffled(come)), POLICY)
        steps = 1
        while applier.step():
            steps += 1
        assert steps > 30


class TestStrictness:
    def test_a_record_that_is_not_there(self) -> None:
        with pytest.raises(
            ChangeRefused, match=r"remove .* h9000000\.example\.test\. A 0\.137\.84\.64 .*any"
        ):
            applied(BASE, deltas_of([host(9_000_000)], []))

    def test_a_record_that_is_there(self) -> None:
        with pytest.raises(ChangeRefused, match=r"add .* h0000007\.example\.test\. A 0\.0\.0\.7"):
            applied(BASE, deltas_of([], [host(7)]))

    def test_a_record_that_is_there_with_another_ttl(self) -> None:
        end = records.rrset_end(host(7))
        with pytest.raises(ChangeRefused, match=r"h0000007\.example\.test\. A 0\.0\.0\.7"):
            applied(BASE, deltas_of([], [host(7)[:end] + bytes(4) + host(7)[end + 4 :]]))

    def test_what_comes_and_goes_must_not_be_there(self) -> None:
        deltas = deltas_of([], [host(7)])
        deltas.delete(batch([SOAS[2], host(7)], None))
        deltas.add(batch([SOAS[3]], None))
        with pytest.raises(ChangeRefused, match=r"add .* h0000007\.example\.test\. A 0\.0\.0\.7"):
            applied(BASE, deltas)
        version = applied(build(apex()), deltas).snapshot()
        assert version.serial == 3
        assert version.count == 2

    def test_changes_for_another_serial(self) -> None:
        with pytest.raises(ChangeRefused, match=r"from serial 1 of .*, got some from serial 2 of"):
            Applier(BASE, deltas_of([], [], 2), POLICY)

    def test_changes_for_another_zone(self) -> None:
        with pytest.raises(ChangeRefused, match=r"of example\.test\., got .* of test\."):
            Applier(BASE, Deltas(b"\4test\0", 1), POLICY)

    def test_a_ttl_changes_by_going_and_coming(self) -> None:
        end = records.rrset_end(host(7))
        slow = host(7)[:end] + b"\0\1\0\0" + host(7)[end + 4 :]
        applier = applied(BASE, deltas_of([host(7)], [slow]), POLICY)
        assert applier.snapshot().having(host(7)[:end]) == [slow]
        assert applier.changeset().removed == [SOAS[1], host(7)]
        assert applier.changeset().added == [SOAS[2], slow]
        assert applier.findings() == []

    def test_signatures_are_changed_by_what_they_cover(self) -> None:
        key = names.key_of(wire([b"s"], ORIGIN), ORIGIN)

        def signature(covered: int, ttl: int, last: bytes) -> bytes:
            rdata = bytes((0, covered)) + bytes(16) + ORIGIN + last
            return records.make(key, records.RRSIG, ttl, rdata)

        zone = sorted([*apex(), signature(1, 60, b"a"), signature(28, 30, b"a")])
        deltas = deltas_of([signature(1, 0, b"a")], [signature(1, 60, b"b")])
        applier = applied(build(zone), deltas, POLICY)
        assert applier.snapshot().owner(key) == [signature(1, 60, b"b"), signature(28, 30, b"a")]
        assert applier.findings() == []


class TestChecks:
    def test_apex_without_soa(self) -> None:
        deltas = Deltas(ORIGIN, 1)
        deltas.delete(batch([SOAS[1]], None))
        with pytest.raises(ZoneRejected, match="apex-soa"):
            applied(BASE, deltas, POLICY)

    def test_apex_with_two_soas(self) -> None:
        deltas = Deltas(ORIGIN, 1)
        deltas.add(batch([SOAS[2]], None))
        with pytest.raises(ZoneRejected, match=r"apex-soa.* stands 2 times"):
            applied(BASE, deltas, POLICY)

    def test_apex_without_ns(self) -> None:
        ns = ns_entry().record(ORIGIN)
        with pytest.raises(ZoneRejected, match="apex-ns"):
            applied(BASE, deltas_of([ns], []), POLICY)

    def test_apex_is_looked_at_although_no_change_names_it(self) -> None:
        deltas = Deltas(ORIGIN, 1)
        deltas.add(batch([host(20_000)], None))
        applier = applied(BASE, deltas, POLICY)
        assert applier.snapshot().count == len(ZONE) + 1
        assert applier.changeset().removed == []
        nothing = applied(BASE, Deltas(ORIGIN, 1), POLICY)
        assert nothing.changeset().empty
        assert nothing.snapshot().root == BASE.root

    def test_touched_owners_are_checked_whole(self) -> None:
        key = host(9)[: records.key_end(host(9))]
        cname = records.make(key, records.CNAME, 60, ORIGIN)
        with pytest.raises(ZoneRejected, match="cname-and-other"):
            applied(BASE, deltas_of([], [cname]), POLICY)
        version = applied(BASE, deltas_of([host(9)], [cname]), POLICY).snapshot()
        assert version.owner(key) == [cname]

    def test_untouched_owners_are_not_looked_at(self) -> None:
        key = host(9)[: records.key_end(host(9))]
        cname = records.make(key, records.CNAME, 60, ORIGIN)
        old = build(sorted([*ZONE, cname]), policy=LAX)
        applier = applied(old, deltas_of([host(10)], []), POLICY)
        assert applier.findings() == []

    def test_ttls_are_levelled_and_the_changeset_says_so(self) -> None:
        owner = wire([b"WWW"], ORIGIN)
        old = build_small([Entry(owner, records.A, 300, bytes([n] * 4)) for n in (1, 2)], 1)
        three = Entry(owner.lower(), records.A, 60, bytes([3] * 4)).record(ORIGIN)
        applier = applied(old, deltas_of([], [three]), POLICY)
        assert {finding.rule for finding in applier.findings()} == {"ttl-mismatch"}
        new = applier.snapshot()
        assert {records.split(r)[3] for r in new.having(b"www")} == {60}
        assert len(new.spelling()) == 2
        assert listed(applier.changeset()) == listed(diff(old, new))
        strict = Policy({"ttl-mismatch": Grade.REJECT})
        with pytest.raises(ZoneRejected, match="ttl-mismatch"):
            applied(old, deltas_of([], [three]), strict)

    def test_records_that_a_check_drops_are_not_in_the_changeset(self) -> None:
        key = host(9)[: records.key_end(host(9))]
        cname = records.make(key, records.CNAME, 60, ORIGIN)
        drop = Policy({"cname-and-other": Grade.DROP})
        applier = applied(BASE, deltas_of([], [cname]), drop)
        assert applier.changeset().added == [SOAS[2]]
        assert [finding.rule for finding in applier.findings()] == ["cname-and-other"]

    def test_records_outside_the_zone(self) -> None:
        deltas = deltas_of([], [host(20_000)])
        stray = batch([], None)
        stray.outside.append((b"\1x\0", records.A, 0))
        deltas.add(stray)
        applier = applied(BASE, deltas, POLICY)
        assert [finding.rule for finding in applier.findings()] == ["out-of-zone"]
        assert applier.snapshot().count == len(ZONE) + 1
        with pytest.raises(ZoneRejected, match="out-of-zone"):
            applied(BASE, deltas, Policy({"out-of-zone": Grade.REJECT}))

    def test_the_new_version_keeps_the_limits(self) -> None:
        deltas = Deltas(ORIGIN, 1, len(ZONE))
        feed(deltas, diff(BASE, build(sorted([*apex(serial=2), *ZONE[2:], host(20_000)]))))
        with pytest.raises(TransferError, match=r"20002 records \(limits\.max_zone_records\), got"):
            applied(BASE, deltas, POLICY)
        deltas = Deltas(ORIGIN, 1, 0, 100_000)
        deltas.add(batches([host(20_000)], 1)[0])
        with pytest.raises(TransferError, match=r"limits\.max_zone_bytes"):
            applied(BASE, deltas, POLICY)


@given(st.sets(st.integers(0, 300), min_size=1), st.sets(st.integers(0, 300), min_size=1))
def test_splices_between_two_lists(before: set[int], after: set[int]) -> None:
    old, new = ([host(n) for n in sorted(numbers)] for numbers in (before, after))
    splices = between(old, new)
    assert (splices is None) == (len(before ^ after) > 128)
    if splices is not None:
        assert Block.make(old, {}).spliced(splices).data == Block.make(new, {}).data


@pytest.mark.parametrize("every", [1, 50, 700])
def test_any_split_of_a_large_zone(every: int) -> None:
    old = split(build(ZONE[:6000]), list(range(0, 6000, every)))
    gone = ZONE[2:6000:97]
    version = applied(old, deltas_of(gone, [other(r) for r in gone]), POLICY).snapshot()
    expected = {*ZONE[:6000], SOAS[2], *(other(r) for r in gone)} - {SOAS[1], *gone}
    assert held(version) == sorted(expected)

"""Whatever the order of commits, pruning and collecting: the journal equals a dictionary."""

from __future__ import annotations

import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.journal.contents import StillClock, held, new, snapshot
from xfer.journal import Journal, Retention, Version, store
from xfer.journal.store import WriteAhead

ZONES = [b"\1a\0", b"\1b\0", b"\1c\0"]
HOSTS = st.sets(st.integers(0, 23), max_size=12)


class JournalModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.journal = Journal.open(f"{self.directory.name}/journal.db", StillClock())
        self.kept: dict[bytes, list[tuple[Version, list[bytes]]]] = {zone: [] for zone in ZONES}
        self.ahead: list[WriteAhead] = []
        self.last_id = 0
        self.gather = store.GATHER_BYTES
        store.GATHER_BYTES = 0  # type: ignore[misc]  # these blocks are tiny, and shall be written

    @rule(zone=st.sampled_from(ZONES), serial=st.integers(0, 3), hosts=HOSTS, first=st.booleans())
    def commit(self, zone: bytes, serial: int, hosts: set[int], first: bool) -> None:
        content = snapshot(serial, hosts, origin=zone)
        if first:
            self.journal.write_blocks(content.blocks)
        chain = self.kept[zone]
        (version,) = self.journal.commit([new(content, parent=chain[-1][0].id if chain else None)])
        assert version.id > self.last_id
        self.last_id = version.id
        chain.append((version, held(content)))

    @rule(members=st.lists(st.tuples(st.sampled_from(ZONES), HOSTS), min_size=2, max_size=5))
    def commit_together(self, members: list[tuple[bytes, set[int]]]) -> None:
        contents = [snapshot(9, hosts, origin=zone) for zone, hosts in members]
        made = self.journal.commit([new(content) for content in contents])
        for content, version in zip(contents, made, strict=True):
            self.kept[content.origin].append((version, held(content)))
            self.last_id = version.id

    @rule(zone=st.sampled_from(ZONES), keep=st.integers(1, 4))
    def prune(self, zone: bytes, keep: int) -> None:
        gone = self.journal.prune(zone, Retention(versions=keep))
        assert gone == max(0, len(self.kept[zone]) - keep)
        self.kept[zone] = self.kept[zone][-keep:]

    @rule()
    def collect(self) -> None:
        self.journal.collect()
        if not self.ahead:
            assert self.journal.stats().orphans == 0

    @rule(hosts=HOSTS)
    def write_ahead(self, hosts: set[int]) -> None:
        ahead = self.journal.write_ahead()
        ahead.write(snapshot(1, hosts).blocks)
        self.ahead.append(ahead)

    @rule()
    def abandon(self) -> None:
        for ahead in self.ahead:
            ahead.close()
        self.ahead = []

    @rule()
    def reopen(self) -> None:
        path = self.journal.database.path
        self.journal.close()
        self.ahead = []
        self.journal = Journal.open(str(path), StillClock())

    @invariant()
    def holds_what_it_should(self) -> None:
        for zone, chain in self.kept.items():
            assert self.journal.versions(zone) == [version for version, _ in chain[::-1]]
            for version, content in chain:
                assert held(self.journal.load(version)) == content
        result = self.journal.verify()
        assert result.ok, result.problems()

    def teardown(self) -> None:
        store.GATHER_BYTES = self.gather  # type: ignore[misc]
        self.journal.close()
        self.directory.cleanup()


JournalModel.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestJournalModel = JournalModel.TestCase

"""Keys on disk: whole or not there, never overwritten, and nobody else's to read."""

from __future__ import annotations

import io
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import structlog

from xfer import log
from xfer.dnssec import keys
from xfer.dnssec.idents import tag_of, tags_of
from xfer.dnssec.keyfiles import KeyPair, write_private, write_public
from xfer.dnssec.keys import SigningKey, make_key
from xfer.errors import KeyRefused
from xfer.server import keydir
from xfer.server.keystore import KeyStore
from xfer.wire import names

ZONE = names.from_text("example.com.")
NOW = 1792000000.5


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_generated_key_is_loaded_again(store: KeyStore) -> None:
    ksk = store.generate(ZONE, 13, True, NOW)
    zsk = store.generate(ZONE, 15, False, NOW)
    loaded = KeyStore(store.directory).load(names.from_text("EXAMPLE.com."))
    assert loaded.problems == ()
    assert set(loaded.keys) == {ksk.key.ident, zsk.key.ident}
    for made in (ksk, zsk):
        there = loaded.keys[made.key.ident]
        assert there.key.public == made.key.public
        assert there.times == {"Created": 1792000000}
        assert keys.verify(made.key.public, b"x", there.key.sign(b"x"))


def test_modes_whatever_the_umask(store: KeyStore) -> None:
    before = os.umask(0)
    try:
        pair = store.generate(ZONE, 13, True, NOW)
        store.remove(ZONE, pair.key.ident, ())
        store.generate(ZONE, 13, True, NOW)
    finally:
        os.umask(before)
    found = list(store.directory.rglob("*"))
    assert len(found) == 6  # two directories, four files
    for path in (store.directory, *found):
        assert mode(path) == (0o700 if path.is_dir() else 0o600)


def test_a_zone_without_keys(store: KeyStore) -> None:
    assert store.load(ZONE).keys == {}
    store.check()
    assert store.load(ZONE).keys == {}
    assert mode(store.directory) == 0o700


@pytest.mark.parametrize(
    ("name", "directory"),
    [("example.com.", "example.com"), (".", "@"), (r"\@.", "%40"), (r"\./\.\..", "%2E%2F%2E%2E")],
)
def test_each_zone_has_its_directory(store: KeyStore, name: str, directory: str) -> None:
    owner = names.from_text(name)
    assert store.zone_directory(owner) == store.directory / directory
    pair = store.generate(owner, 15, True, NOW)
    assert set(store.load(owner).keys) == {pair.key.ident}
    assert store.load(ZONE).keys == {} or name == "example.com."


def test_a_name_too_long_for_a_file_is_refused(store: KeyStore) -> None:
    owner = names.from_text(".".join(["a" * 60] * 4))
    with pytest.raises(KeyRefused, match="at most 255 octets, got 2"):
        store.generate(owner, 15, True, NOW)
    assert store.load(owner).keys == {}


@pytest.mark.parametrize("what", ["directory", "zone", "private"])
def test_what_others_can_read_is_refused_with_the_command_that_mends_it(
    store: KeyStore, what: str
) -> None:
    pair = store.generate(ZONE, 13, True, NOW)
    place = store.zone_directory(ZONE)
    path = {
        "directory": store.directory,
        "zone": place,
        "private": place / f"{pair.stem}.private",
    }[what]
    path.chmod(0o750 if path.is_dir() else 0o640)
    problem = rf"expected mode 0[67]00.*, got 0[67][45]0; run: chmod [67]00 {re.escape(str(path))}$"
    if what == "private":
        loaded = store.load(ZONE)
        assert loaded.keys == {}
        with pytest.raises(KeyRefused, match=problem):
            raise loaded.problems[0]
    else:
        with pytest.raises(KeyRefused, match=problem):
            store.load(ZONE)
        with pytest.raises(KeyRefused, match=problem):
            store.generate(ZONE, 13, True, NOW)
    refused = loaded.problems[0] if what == "private" else _refusal(store)
    subprocess.run(refused.fix.removeprefix("run: "), shell=True, check=True)
    assert set(store.load(ZONE).keys) == {pair.key.ident}


def _refusal(store: KeyStore) -> KeyRefused:
    with pytest.raises(KeyRefused) as refused:
        store.load(ZONE)
    return refused.value


def test_a_key_file_of_another_user_is_refused(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.generate(ZONE, 13, True, NOW)
    for path in store.directory.rglob("*"):
        try:
            os.chown(path, 12345, -1)
        except PermissionError:
            pytest.skip("only root gives files away")
    with pytest.raises(KeyRefused, match="uid 12345; run: chown"):
        store.load(ZONE)


def _replaced(file: Path, make: Callable[[Path, int], None]) -> None:
    file.unlink()
    make(file, 0o700)


def _renamed(key: Path) -> None:
    key.write_text(key.read_text().replace("example.com", "example.net"))


def test_a_damaged_key_does_not_keep_others_from_loading(store: KeyStore) -> None:
    good = store.generate(ZONE, 13, True, NOW)
    place = store.zone_directory(ZONE)
    theirs = (place / f"{good.stem}.private").read_bytes()
    damage: list[tuple[str, Callable[[Path, Path], object]]] = [
        ("algorithm 15 as in the .key", lambda key, private: private.write_bytes(theirs)),
        ("no K.*private", lambda key, private: private.unlink()),
        ("no K.*key", lambda key, private: key.unlink()),
        ("an empty file", lambda key, private: key.write_text("")),
        ("other octets", lambda key, private: key.write_bytes(b"\xff")),
        ("at most 65536 octets", lambda key, private: private.write_bytes(bytes(70_000))),
        ("got something else", lambda key, private: _replaced(private, os.mkfifo)),
        ("got something else", lambda key, private: _replaced(private, Path.mkdir)),
        ("got one of example.net", lambda key, private: _renamed(key)),
        ("Private-key-format", lambda key, private: private.write_text("")),
    ]
    for _, spoil in damage:
        pair = store.generate(ZONE, 15, False, NOW)
        spoil(place / f"{pair.stem}.key", place / f"{pair.stem}.private")
    moved = store.generate(ZONE, 15, False, NOW)
    for ending in (".key", ".private"):
        (place / f"{moved.stem}{ending}").rename(place / f"Kexample.com.+015+00000{ending}")
    loaded = store.load(ZONE)
    assert set(loaded.keys) == {good.key.ident}
    sentences = [str(problem) for problem in loaded.problems]
    assert len(sentences) == len(damage) + 1
    for problem in [problem for problem, _ in damage] + ["rename both files"]:
        assert any(re.search(problem, sentence) for sentence in sentences), (problem, sentences)


def scripted(*made: SigningKey) -> tuple[Callable[[int, bool, int], SigningKey], list[int]]:
    calls: list[int] = []

    def make(_algorithm: int, _sep: bool, _bits: int) -> SigningKey:
        calls.append(1)
        return made[len(calls) - 1]

    return make, calls


@pytest.mark.parametrize("known", ["kept", "removed", "taken"])
def test_a_key_whose_tag_is_known_is_made_anew(tmp_path: Path, known: str) -> None:
    first, other = make_key(13, True), make_key(15, False)
    make, calls = scripted(first, other)
    store = KeyStore(tmp_path / "keys", make)
    # The same key stands for one of the same tag: the store looks at tags only.
    if known != "taken":
        pair = store.take_in(ZONE, KeyPair(ZONE, first))
        if known == "removed":
            store.remove(ZONE, pair.key.ident, ())
    taken = (first.tag,) if known == "taken" else ()
    assert store.generate(ZONE, 13, True, NOW, taken=taken).key is other
    assert len(calls) == 2


@pytest.mark.parametrize("which", [0, 1])
def test_a_tag_counts_in_its_revoked_form_too(tmp_path: Path, which: int) -> None:
    first, other = make_key(13, True), make_key(13, False)
    make, _ = scripted(first, other)
    store = KeyStore(tmp_path / "keys", make)
    taken = (tags_of(first.public)[which],)
    assert store.generate(ZONE, 13, True, NOW, taken=taken).key is other
    # A known key whose revoked form has the tag that the new one would have.
    store = KeyStore(tmp_path / "more", scripted(first, other)[0])
    revoked = tag_of(b"\1\x81" + first.public[2:])
    assert store.generate(ZONE, 13, True, NOW, taken=(revoked,)).key is other


def test_no_free_tag_is_an_error_and_not_a_loop(tmp_path: Path) -> None:
    key = make_key(15, True)
    store = KeyStore(tmp_path / "keys", lambda *_: key)
    with pytest.raises(KeyRefused, match="a key tag that is free, got 100 keys"):
        store.generate(ZONE, 15, True, NOW, taken=(key.tag,))


def test_nothing_is_overwritten(store: KeyStore) -> None:
    pair = store.generate(ZONE, 13, True, NOW)
    place = store.zone_directory(ZONE)
    before = {file: file.read_bytes() for file in place.iterdir()}
    for file in before:
        with pytest.raises(KeyRefused, match="one that exists already"):
            keydir.write_new(file, log.Secret(b"other"))
    assert store.take_in(ZONE, pair).key.public == pair.key.public
    with pytest.raises(KeyRefused, match="one that exists already"):
        store.export(ZONE, pair.key.ident, place, NOW)
    assert {file: file.read_bytes() for file in place.iterdir()} == before


def test_another_key_of_the_same_name_is_refused(store: KeyStore) -> None:
    pair = store.generate(ZONE, 13, True, NOW)
    other = make_key(13, True)
    place = store.zone_directory(ZONE)
    forged = KeyPair(ZONE, other)
    for ending, octets in (
        (".key", write_public(forged).encode()),
        (".private", write_private(forged).reveal()),
    ):
        (place / f"{forged.stem}{ending}").write_bytes(octets)
        (place / f"{forged.stem}{ending}").chmod(0o600)
    (place / f"{pair.stem}.key").rename(place / "aside")
    (place / f"{forged.stem}.key").rename(place / f"{pair.stem}.key")
    with pytest.raises(KeyRefused, match=r"expected the private key of the \.key"):
        store.take_in(ZONE, pair)


def test_a_key_of_another_zone_is_not_taken_in(store: KeyStore) -> None:
    with pytest.raises(KeyRefused, match=r"a key of example.com., got one of example.net."):
        store.take_in(ZONE, KeyPair(names.from_text("example.net."), make_key(15, True)))


def test_keys_come_and_go_as_files(store: KeyStore, tmp_path: Path) -> None:
    pair = store.generate(ZONE, 14, True, NOW)
    out = tmp_path / "out"
    with pytest.raises(KeyRefused, match="a key file that can be written, got No such file"):
        store.export(ZONE, pair.key.ident, out, NOW)
    out.mkdir()
    stem = store.export(ZONE, pair.key.ident, out, NOW + 10)
    assert {mode(file) for file in out.iterdir()} == {0o600}
    assert b"Activate: 2026" in stem.with_name(stem.name + ".private").read_bytes()
    for file in out.iterdir():
        file.chmod(0o644)  # as it may arrive
    other = KeyStore(tmp_path / "other")
    for path in (stem, *out.iterdir()):
        read = other.read_files(path)
        assert read.key.public == pair.key.public
        other.take_in(ZONE, read)
    (loaded,) = other.load(ZONE).keys.values()
    assert loaded.key.private_der() == pair.key.private_der()
    assert loaded.times == {"Created": 1792000000, "Publish": 1792000010, "Activate": 1792000010}
    with pytest.raises(KeyRefused, match="a key file that can be read, got No such file"):
        other.read_files(out / "nothing")
    with pytest.raises(KeyRefused, match="both files of a key"):
        store.export(ZONE, "013+00000", out, NOW)


def test_a_key_that_was_imported_with_an_end_is_exported_without(store: KeyStore) -> None:
    out = store.directory.parent / "out"
    out.mkdir()
    pair = store.generate(ZONE, 15, False, NOW)
    times = {"Created": 5, "Publish": 6, "Activate": int(NOW) + 99, "Inactive": 7, "Delete": 8}
    store.remove(ZONE, pair.key.ident, ())
    store.take_in(ZONE, attrs.evolve(pair, times=times))
    there = store.read_files(store.export(ZONE, pair.key.ident, out, NOW))
    assert there.times == {"Created": 5, "Publish": 6, "Activate": int(NOW)}


def test_a_key_that_was_removed_and_imported_anew_is_removed_again(store: KeyStore) -> None:
    place = store.zone_directory(ZONE)
    pair = store.generate(ZONE, 13, False, NOW)
    for count in range(3):
        store.remove(ZONE, pair.key.ident, ())
        assert not store.load(ZONE).keys
        if count < 2:
            store.take_in(ZONE, pair)
    removed = {file.name for file in (place / "removed").iterdir()}
    assert removed == {
        f"{pair.stem}{copy}{ending}" for copy in ("", "~2", "~3") for ending in (".key", ".private")
    }


@pytest.mark.parametrize("linked", [False, True])
def test_a_second_removal_that_was_cut_short_is_ended(store: KeyStore, linked: bool) -> None:
    place = store.zone_directory(ZONE)
    pair = store.generate(ZONE, 13, False, NOW)
    store.remove(ZONE, pair.key.ident, ())
    store.take_in(ZONE, pair)
    (place / f"{pair.stem}.key").rename(place / "removed" / f"{pair.stem}~2.key")
    if linked:
        os.link(place / f"{pair.stem}.private", place / "removed" / f"{pair.stem}~2.private")
    loaded = store.load(ZONE)
    assert not loaded.keys
    assert not loaded.problems
    assert len(list((place / "removed").iterdir())) == 4


def test_only_keys_that_nobody_needs_are_removed_and_kept_aside(store: KeyStore) -> None:
    one, two = (store.generate(ZONE, 13, sep, NOW) for sep in (True, False))
    with pytest.raises(KeyRefused, match=f"not in use, got {one.key.ident}".replace("+", r"\+")):
        store.remove(ZONE, one.key.ident, {one.key.ident, two.key.ident})
    store.remove(ZONE, one.key.ident, {two.key.ident})
    store.remove(ZONE, one.key.ident, {two.key.ident})
    store.remove(names.from_text("unknown."), "013+00000", ())
    assert set(store.load(ZONE).keys) == {two.key.ident}
    aside = store.zone_directory(ZONE) / "removed"
    assert {file.name for file in aside.iterdir()} == {f"{one.stem}.key", f"{one.stem}.private"}
    assert store.read_files(aside / one.stem).key.private_der() == one.key.private_der()


# Killed on the way.


class _Killed(BaseException):
    pass


CALLS = ("open", "fsync", "link", "unlink")


@pytest.mark.parametrize("doing", ["generate", "take_in", "remove"])
def test_killed_between_any_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    """After each system call in turn: no key is torn, the old one is there, and again works."""
    steps = 0
    while True:
        steps += 1
        store = KeyStore(tmp_path / f"keys{steps}")
        old = store.generate(ZONE, 13, True, NOW)
        new = KeyPair(ZONE, make_key(15, True))
        if doing == "remove":
            store.take_in(ZONE, new)
        with monkeypatch.context() as patch:
            left = [steps]
            _die_after(patch, left)
            try:
                if doing == "generate":
                    store.generate(ZONE, 15, True, NOW)
                elif doing == "take_in":
                    store.take_in(ZONE, new)
                else:
                    store.remove(ZONE, new.key.ident, ())
            except _Killed:
                pass
        done = left[0] > 0
        again = KeyStore(store.directory)
        loaded = again.load(ZONE)
        assert loaded.keys[old.key.ident].key.public == old.key.public
        assert len(loaded.problems) <= (doing != "remove")
        if doing == "remove":
            again.remove(ZONE, new.key.ident, ())
            assert set(again.load(ZONE).keys) == {old.key.ident}
            assert len(list((again.zone_directory(ZONE) / "removed").iterdir())) == 2
        elif doing == "take_in":
            assert again.take_in(ZONE, new).key.public == new.key.public
            assert set(again.load(ZONE).keys) == {old.key.ident, new.key.ident}
            assert not again.load(ZONE).problems
        if done:
            break
    assert steps > 5


def _die_after(patch: pytest.MonkeyPatch, left: list[int]) -> None:
    def dying(call: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kwargs: object) -> object:
            if left[0] <= 0:
                raise _Killed
            left[0] -= 1
            done = call(*args, **kwargs)
            if left[0] == 0:
                raise _Killed
            return done

        return counted

    for name in CALLS:
        patch.setattr(os, name, dying(getattr(os, name)))


def test_a_key_is_synced_before_it_has_its_name_and_the_directory_after(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.generate(ZONE, 13, True, NOW)
    seen: list[str] = []
    fsync, link = os.fsync, os.link

    def saw_sync(number: int) -> None:
        seen.append("sync " + Path(f"/proc/self/fd/{number}").readlink().suffix)
        fsync(number)

    def saw_link(source: Path, target: Path, **kwargs: bool) -> None:
        seen.append("link " + target.suffix)
        link(source, target, **kwargs)

    monkeypatch.setattr(os, "fsync", saw_sync)
    monkeypatch.setattr(os, "link", saw_link)
    store.generate(ZONE, 13, True, NOW)
    directory = "sync " + store.zone_directory(ZONE).suffix
    assert seen == [
        "sync .private", "link .private", directory, "sync .key", "link .key", directory
    ]  # fmt: skip


KILLED = """
import sys
from pathlib import Path
from xfer.server.keystore import KeyStore
store = KeyStore(Path(sys.argv[1]))
last = ""
while True:
    pair = store.generate(b"\\7example\\3com\\0", 15, True, 1)
    print("+", pair.key.ident, flush=True)
    if last:
        print("-", last, flush=True)
        store.remove(b"\\7example\\3com\\0", last, ())
    last = pair.key.ident
"""


def test_kill_9_loses_and_tears_nothing(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    root = Path(__file__).resolve().parents[2]
    made: set[str] = set()
    gone: set[str] = set()
    for round_ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(store.directory)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3 + 4 * round_)]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        for line in "".join([*lines, rest]).splitlines():
            (made if line[0] == "+" else gone).add(line[2:])
        loaded = store.load(ZONE)
        assert made - gone <= set(loaded.keys)
        for problem in loaded.problems:  # of a key that was never reported as made
            assert problem.file.rpartition(".+")[2] not in made
        for file in store.zone_directory(ZONE).iterdir():
            assert not file.name.startswith(keydir.NEW)
    assert len(made) > 30


def test_two_threads_make_different_keys(store: KeyStore) -> None:
    def run() -> None:
        for _ in range(10):
            store.generate(ZONE, 15, False, NOW)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = store.load(ZONE)
    assert len(loaded.keys) == 20
    assert loaded.problems == ()


def test_a_file_system_without_links(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    pair = store.generate(ZONE, 13, True, NOW)
    assert set(store.load(ZONE).keys) == {pair.key.ident}
    with pytest.raises(KeyRefused, match="exists already"):
        keydir.write_new(store.zone_directory(ZONE) / f"{pair.stem}.key", log.Secret(b""))
    store.remove(ZONE, pair.key.ident, ())
    assert store.load(ZONE).keys == {}


def test_a_full_disk_is_an_error_and_leaves_nothing(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    store.check()
    store.zone_directory(ZONE).mkdir(0o700)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyRefused, match="that can be written, got No space left on device"):
        store.generate(ZONE, 13, True, NOW)
    assert list(store.zone_directory(ZONE).iterdir()) == []


def test_no_log_or_traceback_has_a_private_part(store: KeyStore) -> None:
    pair = store.generate(ZONE, 13, True, NOW)
    file = store.zone_directory(ZONE) / f"{pair.stem}.private"
    secret = file.read_text().split("PrivateKey: ")[1].split()[0]
    file.write_text(file.read_text().replace("PrivateKey: ", "PrivateKey; "))
    out = io.StringIO()
    log.setup("info", "json", out, cache=False)
    try:
        loaded = store.load(ZONE)
        logger = structlog.get_logger()
        logger.info("keys", loaded=loaded, pair=pair, store=store, problems=loaded.problems)
        try:
            raise loaded.problems[0]
        except KeyRefused as error:
            logger.exception("refused", error=error)
            out.write("".join(traceback.format_exception(error)))
    finally:
        structlog.reset_defaults()
    assert "without a colon" in out.getvalue()
    assert secret[:10] not in out.getvalue() + repr(loaded) + repr(pair) + repr(store)


@pytest.mark.lab
@pytest.mark.parametrize(
    "name", [".", "example.com", r"a\.b/c.example", "_x.XN--bcher-kva.example"]
)
def test_the_names_of_files_are_those_of_dnssec_keygen(
    store: KeyStore, tmp_path: Path, name: str
) -> None:
    stem = _run("dnssec-keygen", "-q", "-a", "15", name, cwd=tmp_path).strip()
    pair = store.read_files(tmp_path / stem)
    assert pair.stem == stem
    store.take_in(names.from_text(name), pair)
    assert set(store.load(names.from_text(name)).keys) == {pair.key.ident}


@pytest.mark.lab
def test_exported_keys_sign_in_bind(store: KeyStore, tmp_path: Path) -> None:
    for sep in (True, False):
        pair = store.generate(ZONE, 13, sep, NOW - 86400 * 365)
        store.export(ZONE, pair.key.ident, tmp_path, NOW - 86400 * 365)
    (tmp_path / "zone").write_text(
        "@ 300 IN SOA ns h 1 7200 3600 86400 300\n@ 300 IN NS ns\nns 300 IN A 192.0.2.1\n"
    )
    _run("dnssec-signzone", "-S", "-K", ".", "-o", "example.com", "zone", cwd=tmp_path)
    _run("dnssec-verify", "-o", "example.com", "zone.signed", cwd=tmp_path)


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout

# SPDX-License-Identifier: Apache-2.0
"""Names, the rules by which archives are kept, and the catalog in SQLite."""

import random
import threading

import pytest

HOUR = 3600.0


@pytest.fixture(scope="module")
def registry(qstore):
    """The modules of the registry."""
    from qstore.registry import names, records, sqlite_catalog, state, tokens

    class Modules:
        pass

    Modules.names, Modules.records, Modules.state = names, records, state
    Modules.SqliteCatalog, Modules.tokens = sqlite_catalog.SqliteCatalog, tokens
    return Modules


def record(registry, *bases):
    return registry.records.ArchiveRecord(10, bases, 0.0, 20, {})


def listing(registry, *archives, seed=0):
    files = [
        registry.records.FileEntry(f"f{i}", seed, f"{seed:064}", digest, "v", f"f{i}")
        for i, digest in enumerate(archives)
    ]
    return registry.records.make_listing(files)


def publish(registry, state, name, *archives, ref="main", seed=0, now=0.0, **options):
    made = listing(registry, *archives, seed=seed)
    heads = {name: {made.commit: registry.records.make_head(made, now)}}
    registry.state.publish(state, heads, {name: {ref: made.commit}}, now, **options)
    return made.commit


@pytest.mark.parametrize(
    "name",
    [
        *("", "model", "a/b/c", "../b", "a/..", "a/b..c", "a/.b", "a/b.", "-a/b", "a/b--c"),
        *("a b/c", "a/b\n", "ä/b", "a/b.git", "a/" + "b" * 95, "a\0/b", "a//b"),
    ],
)
def test_names_of_repositories_that_are_refused(qstore, registry, name):
    with pytest.raises(qstore.InvalidArgumentError):
        registry.names.check_repo(name)


@pytest.mark.parametrize("text", ["a/b/../c", "a/b/c//d", "a/b@x/y", "a/b@..", "a/b@", "a/b/"])
def test_targets_that_are_refused(qstore, registry, text):
    with pytest.raises(qstore.InvalidArgumentError):
        registry.names.parse_target(text)
    with pytest.raises(qstore.InvalidArgumentError, match="follow from files"):
        registry.names.parse_target("a/b@" + "0" * 40)


def test_targets(registry):
    assert registry.names.parse_target("a/b") == ("a/b", "", "main")
    assert registry.names.parse_target("a/b/int8/x@v1.0") == ("a/b", "int8/x", "v1.0")


def test_a_commit_follows_from_its_files_alone(registry):
    one, other = listing(registry, "x" * 64), listing(registry, "y" * 64)
    assert one.commit == other.commit and len(one.commit) == 40
    assert listing(registry, "x" * 64, seed=1).commit != one.commit
    where = "a test"
    assert registry.records.decode_listing(one.encode(), where) == one


def test_what_commits_need_stays(qstore, registry):
    """A child keeps its base, and goes before it."""
    rules, state = registry.state, registry.state.State()
    rules.reserve(state, "base", record(registry), HOUR)
    rules.reserve(state, "child", record(registry, "base"), HOUR)
    publish(registry, state, "a/base", "base")
    publish(registry, state, "a/tune", "child", seed=1)
    rules.remove(state, "a/base", None, 1.0)
    assert rules.condemn(state, 0.0, 2 * HOUR) == []
    rules.remove(state, "a/tune", "main", 2 * HOUR)
    assert not state.repos
    assert rules.condemn(state, HOUR, 2.5 * HOUR) == []
    assert rules.condemn(state, HOUR, 3 * HOUR) == ["child", "base"]
    with pytest.raises(qstore.IoError, match="being removed"):
        rules.reserve(state, "child", record(registry), 9 * HOUR)
    with pytest.raises(qstore.UnknownNameError, match="base"):
        rules.reserve(state, "new", record(registry, "base"), 9 * HOUR)
    with pytest.raises(qstore.IoError, match="add it again"):
        publish(registry, state, "a/tune", "child", seed=1)
    rules.forget(state, "child")
    rules.forget(state, "base")
    assert not state.archives


def test_what_is_about_to_come_stays(registry):
    rules, state = registry.state, registry.state.State()
    rules.reserve(state, "base", record(registry), HOUR)
    publish(registry, state, "a/base", "base")
    rules.reserve(state, "child", record(registry, "base"), HOUR)
    rules.remove(state, "a/base", None, 1.0)
    assert rules.condemn(state, 0.0, HOUR - 1) == []
    assert rules.condemn(state, 0.0, HOUR + 1) == ["child", "base"]


def test_revisions(qstore, registry):
    rules, state = registry.state, registry.state.State()
    rules.reserve(state, "x", record(registry), HOUR)
    first = publish(registry, state, "a/b", "x", seed=1, now=1.0, expected={"a/b": None})
    second = publish(registry, state, "a/b", "x", seed=2, now=2.0, expected={"a/b": first})
    with pytest.raises(rules.MovedError, match="main"):
        publish(registry, state, "a/b", "x", seed=3, expected={"a/b": first})
    publish(registry, state, "a/b", "x", ref="v2", seed=2)
    assert state.resolve("a/b", None) == state.resolve("a/b", "v2") == second
    assert state.resolve("a/b", first) == first
    with pytest.raises(rules.UnknownRevisionError, match="main, v2"):
        state.resolve("a/b", "v3")
    assert rules.retire(state, 1, 3.0) == {} and rules.retire(state, 0, 3.0) == {"a/b": [first]}
    assert rules.remove(state, "a/b", "v2", 3.0) == []
    assert rules.remove(state, "a/b", "main", 3.0) == [second]
    with pytest.raises(qstore.UnknownNameError, match="no such repository"):
        state.resolve("a/b", None)


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_changes_orphans_anything(qstore, registry, seed):
    """Random changes by several who add and collect, each interrupted anywhere."""
    rules, state = registry.state, registry.state.State()
    draw, files, now, waiting, going = random.Random(seed), set(), 0.0, [], []
    for step in range(400):
        now += draw.random()
        action = draw.choice(("reserve", "publish", "publish", "remove", "collect", "delete"))
        try:
            if action == "reserve":
                digest = f"archive {draw.randrange(12)}"
                others = [d for d in sorted(state.archives) if d != digest and d < digest]
                bases = draw.sample(others, min(len(others), draw.randrange(3)))
                rules.reserve(state, digest, record(registry, *bases), now + 5)
                files.add(digest)  # The file comes only after that.
                waiting.append(digest)
            elif action == "publish" and waiting:
                digest = waiting.pop(draw.randrange(len(waiting)))
                publish(registry, state, f"a/{draw.randrange(4)}", digest, seed=step, now=now)
            elif action == "remove" and state.repos:
                rules.remove(state, draw.choice(sorted(state.repos)), "main", now)
            elif action == "collect":
                going = rules.condemn(state, draw.choice((0.0, 3.0)), now)
            elif action == "delete" and going:
                files.discard(digest := going.pop(0))
                if draw.random() < 0.7:
                    rules.forget(state, digest)
        except qstore.QStoreError:
            continue
        for digest in state.needed():
            assert digest in files and not state.archives[digest].is_going
            assert all(base in state.archives for base in state.archives[digest].bases)


def test_a_change_counts_whole_or_not(qstore, registry, space):
    path = str(space / "c.sqlite")
    one, other = registry.SqliteCatalog(path, create=True), registry.SqliteCatalog(path)
    rules, made = registry.state, listing(registry, "x")

    def add(state):
        rules.reserve(state, "x", record(registry), HOUR)
        publish(registry, state, "a/b", "x")
        return 5

    def fail(state):
        add(state)
        rules.remove(state, "a/b", None, 1.0)
        raise ValueError

    assert one.state() == other.state() == rules.State()
    with pytest.raises(ValueError):
        one.change(fail, [made])
    assert one.state() == other.state() == rules.State()
    assert one.change(add, [made]) == 5
    assert one.state() == other.state() != rules.State()
    head = other.state().repos["a/b"].commits[made.commit]
    assert other.listing(head) == made and other.collect() == 0
    other.change(lambda state: rules.remove(state, "a/b", None, 1.0))
    assert not one.state().repos
    assert one.collect() == 1 and one.check() == []
    with pytest.raises(qstore.UnknownNameError):
        other.listing(head)
    with pytest.raises(qstore.PathNotFoundError):
        registry.SqliteCatalog(str(space / "d.sqlite"))


def test_writers_take_turns(registry, space):
    path = str(space / "c.sqlite")
    registry.SqliteCatalog(path, create=True).close()
    rules = registry.state

    def work(number):
        catalog = registry.SqliteCatalog(path)
        for i in range(10):
            name = f"{number} {i}"
            catalog.change(lambda s, name=name: rules.reserve(s, name, record(registry), HOUR))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.SqliteCatalog(path).state().archives) == 40


def test_a_file_that_is_no_catalog(qstore, registry, space):
    (space / "c.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(qstore.CorruptError, match="c.sqlite"):
        registry.SqliteCatalog(str(space / "c.sqlite"))


def test_tokens(qstore, registry, space):
    tokens, path = registry.tokens, space / "tokens"
    one, first = tokens.make_token(["org/", "other/model"])
    other, second = tokens.make_token(["*"])
    assert len({one, other}) == 2 and one not in first
    path.write_text(f"# readers\n{first}  # Ann\n\n")
    known = tokens.Tokens(path)
    scopes = known.find(one)
    assert scopes.allow("org/any") and scopes.allow("other/model")
    assert not scopes.allow("other/model2") and not scopes.allow("organization/any")
    assert known.find(other) is None and known.find("") is None
    path.write_text(f"{first}\n{second}\n")
    assert known.find(other).allow("any/thing")
    for wrong in ("abc *", "0" * 64, f"{'0' * 64} a/../b", f"{'0' * 64} org"):
        path.write_text(wrong + " # what\n")
        with pytest.raises(qstore.CorruptError, match="tokens:1"):
            tokens.Tokens(path)

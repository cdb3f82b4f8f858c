"""``migrate``, ``export``, ``import`` and ``copy``."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys

import pytest
from support.commands import options_of, prefix_of, run
from support.data import at, fill, ids, state, thread_ids, thread_info
from support.moves import fill_all, grow, snapshot
from support.stores import make_store
from zerograph.checkpoint.sqlite import SqliteSaver as EngineSaver

from zerograph_redis import SqliteSaver


@pytest.fixture
def file(tmp_path):
    return tmp_path / "threads.db"


@pytest.fixture
def other(request):
    """Another store to move threads to."""
    store = make_store("sqlite-sync", request)
    yield store
    store.close()


def url_of(store):
    return options_of(store)[1]


def as_json(outcome):
    assert outcome.err == ""
    return json.loads(outcome.out)


FIELDS = {"dry_run", "equal", "outcomes", "updated", "continued_beyond", "problems", "not_found"}
SIDE = {"threads", "checkpoints", "writes", "digest"}
OUTCOMES = {
    "moved", "updated", "same", "continued", "missing", "busy", "behind", "conflict", "held", "failed", "damaged",
    "mismatch",
}  # fmt: skip


def test_migrate_moves_everything_and_shows_equal_digests(store, saver, other):
    threads = fill_all(saver)
    ended = run(*prefix_of(store), "migrate", url_of(store), url_of(other))
    assert (ended.code, ended.err) == (0, f"{len(threads)} threads moved.\n")
    source, target = (line.split() for line in ended.out.splitlines()[2:4])
    assert (source[0], target[0]) == ("source", "target")
    assert source[1:] == target[1:]
    moved = other.open()
    for thread in threads:
        assert snapshot(moved, thread) == snapshot(saver, thread)


def test_migrate_as_json(store, saver, other):
    grow(saver, "chat")
    command = (*prefix_of(store), "migrate", url_of(store), url_of(other), "--json")
    document = run(*command).json
    assert set(document) == {"source", "target", *FIELDS}
    assert set(document["source"]) == set(document["target"]) == SIDE
    assert document["source"] == document["target"]
    assert document["equal"] is True
    assert set(document["outcomes"]) == OUTCOMES
    assert document["outcomes"]["moved"] == 1
    assert run(*command).json["outcomes"]["same"] == 1


def test_a_conflict_ends_with_5_and_names_the_thread(store, saver, other):
    grow(saver, "chat")
    grow(saver, "other")
    fill(other.open(), 1, "chat", start=70)
    command = (*prefix_of(store), "migrate", url_of(store), url_of(other))
    ended = run(*command)
    assert ended.code == 5
    assert "chat" in ended.out
    assert "conflict" in ended.out
    document = as_json(run(*command, "--json"))
    assert document["problems"] == [
        {"thread_id": "chat", "outcome": "conflict", "message": document["problems"][0]["message"]}
    ]
    assert "left alone" in document["problems"][0]["message"]


def test_a_thread_continued_at_the_destination_is_reported_and_ends_with_0(store, saver, other):
    fill(saver, 2)
    command = (*prefix_of(store), "migrate", url_of(store), url_of(other))
    run(*command)
    fill(other.open(), 1, start=2)
    ended = run(*command)
    assert (ended.code, ended.err) == (0, "1 thread stored and continued there already: left alone.\n")


def test_threads_are_chosen_by_prefix_or_by_a_file(store, saver, other, tmp_path):
    for thread in ("a1", "a2", "b1", "[bold]"):
        fill(saver, 1, thread)
    command = (*prefix_of(store), "migrate", url_of(store), url_of(other))
    run(*command, "--match", "a")
    moved = other.open()
    assert sorted(thread_ids(moved)) == ["a1", "a2"]
    listed = tmp_path / "ids"
    listed.write_text("[bold]\nnot there [red]\n\n")
    ended = run(*command, "--threads", str(listed))
    assert ended.code == 6
    assert "Not found: 'not there [red]'" in ended.err
    assert sorted(thread_ids(moved)) == ["[bold]", "a1", "a2"]
    assert run(*command, "--threads", "-", input="b1\n").code == 0
    assert len(thread_ids(moved)) == 4
    assert run(*command, "--threads", str(tmp_path / "none")).code == 2


def test_a_file_of_zerographs_own_saver_is_known_by_its_tables(store, saver, tmp_path):
    path = tmp_path / "engine.db"
    with EngineSaver(path) as engine:
        grow(engine, "chat")
        wanted = [tuple(each) for each in engine.list(at("chat"))]
    before = path.read_bytes()
    ended = run(*prefix_of(store), "migrate", f"sqlite:///{path}", url_of(store))
    assert (ended.code, ended.err) == (0, "1 thread moved.\n")
    assert [tuple(each) for each in saver.list(at("chat"))] == wanted
    assert path.read_bytes() == before
    assert (
        run(*prefix_of(store), "migrate", f"zerograph:///{path}", url_of(store), "--json").json["outcomes"]["same"] == 1
    )


def test_a_file_that_both_savers_used_has_the_threads_of_each(store, saver, tmp_path):
    path = tmp_path / "both.db"
    with EngineSaver(path) as engine, SqliteSaver(path) as ours:
        grow(engine, "theirs")
        grow(ours, "ours")
    ended = run(*prefix_of(store), "migrate", f"sqlite:///{path}", url_of(store))
    assert f"are left out: migrate zerograph:///{path} to move them" in ended.err
    assert thread_ids(saver) == ["ours"]
    run(*prefix_of(store), "migrate", f"zerograph:///{path}", url_of(store))
    assert sorted(thread_ids(saver)) == ["ours", "theirs"]


def test_threads_move_between_prefixes_of_one_server(real_store):
    saver = real_store.open()
    fill(saver, 3)
    beside = real_store.open(prefix=f"{real_store.prefix}-new")
    command = (*prefix_of(real_store), "migrate", real_store.url, real_store.url)
    assert run(*command).code == 2
    assert run(*command, "--target-prefix", f"{real_store.prefix}-new").code == 0
    assert ids(beside.list(at())) == ["c2", "c1", "c0"]


def test_a_cluster_is_a_source_and_a_target(cluster_store, other):
    saver = cluster_store.open()
    threads = fill_all(saver)
    there = run(*prefix_of(cluster_store), "migrate", cluster_store.url, url_of(other), "--json").json
    assert there["outcomes"]["moved"] == len(threads)
    for thread in threads:
        saver.delete_thread(thread)
    back = run(*prefix_of(cluster_store), "migrate", url_of(other), cluster_store.url, "--json").json
    assert back["target"] == there["source"]


def test_a_source_that_does_not_exist_is_not_made(store, tmp_path):
    for scheme in ("sqlite", "zerograph"):
        ended = run(*prefix_of(store), "migrate", f"{scheme}:///{tmp_path}/none.db", url_of(store))
        assert ended.code == 3
        assert "there is no SQLite database" in ended.err
    assert not (tmp_path / "none.db").exists()


def test_a_move_renews_no_ttl_and_gives_none(store, saver, other, file):
    saver.put(at(ttl=1000), state("c0"), {})
    fill(saver, 1, "for ever")
    before = thread_info(saver).ttl
    run(*prefix_of(store), "migrate", url_of(store), url_of(other))
    run(*options_of(store), "export", str(file))
    assert thread_info(saver).ttl < before
    moved = other.open()
    assert thread_info(moved).ttl <= before
    assert thread_info(moved, "for ever").ttl is None


def test_export_and_import_bring_everything_back(store, saver, other, file):
    threads = fill_all(saver)
    ended = run(*options_of(store), "export", str(file))
    assert (ended.code, ended.err) == (0, f"{len(threads)} threads written.\n")
    ended = run(*options_of(other), "import", str(file))
    assert (ended.code, ended.err) == (0, f"{len(threads)} threads stored.\n")
    moved = other.open()
    for thread in threads:
        assert snapshot(moved, thread) == snapshot(saver, thread)


def test_export_and_import_as_json(cli, saver, other, file):
    grow(saver, "chat")
    written = cli("export", str(file), "--json").json
    assert set(written) == {"store", "file", *FIELDS}
    assert set(written["file"]) == SIDE
    assert written["file"] == written["store"]
    stored = run(*options_of(other), "import", str(file), "--json").json
    assert set(stored) == {"file", "store", *FIELDS}
    assert stored["file"] == stored["store"] == written["file"]


def test_an_export_with_zstd_is_imported_and_smaller(cli, saver, other, file):
    threads = fill_all(saver)
    cli("export", str(file))
    compressed = file.with_name("threads.db.zst")
    assert cli("export", str(compressed), "--zstd", "--level", "10").code == 0
    assert compressed.stat().st_size < file.stat().st_size / 3
    ended = run(*options_of(other), "import", str(compressed))
    assert (ended.code, ended.err) == (0, f"{len(threads)} threads stored.\n")
    assert run(*options_of(other), "import", str(file), "--json").json["outcomes"]["same"] == len(threads)


def test_every_command_reads_an_export(cli, saver, file):
    fill_all(saver)
    cli("export", str(file))
    url = f"sqlite:///{file}"
    for command in (("threads",), ("history", "chat"), ("show", "chat"), ("diff", "chat"), ("stats",), ("doctor",)):
        assert run("--url", url, *command).code == 0


def test_update_replaces_threads_that_nobody_continued_and_only_with_yes(store, saver, other, file):
    for thread in ("a", "b"):
        grow(saver, thread)
    run(*options_of(store), "export", str(file))
    run(*options_of(other), "import", str(file))
    for thread in ("a", "b", "new"):
        grow(saver, thread, start=5)
    moved = other.open()
    fill(moved, 1, "b", start=90)
    before = {thread: snapshot(moved, thread) for thread in ("a", "b", "new")}
    newer = file.with_name("newer.db")
    run(*options_of(store), "export", str(newer))
    commands = {
        "source": (*prefix_of(store), "migrate", url_of(store), url_of(other)),
        "file": (*options_of(other), "import", str(newer)),
    }
    for side, command in commands.items():
        ended = run(*command, "--update")
        assert ended.code == 5
        assert ended.out.split()[:5:4] == ["would", "a"]
        assert re.search(rf"1 thread would be replaced by the newer version (at|in) the {side}\.", ended.err)
        assert ended.err.endswith("Nothing was changed: add --yes to do it.\n")
        document = as_json(run(*command, "--update", "--json"))
        assert (document["dry_run"], document["updated"]) == (True, ["a"])
        assert [document["outcomes"][each] for each in ("moved", "updated", "conflict")] == [1, 1, 1]
        assert {thread: snapshot(moved, thread) for thread in before} == before
    document = as_json(run(*commands["file"], "--update", "--yes", "--json"))
    assert (document["dry_run"], document["updated"]) == (False, ["a"])
    assert [document["outcomes"][each] for each in ("moved", "updated", "conflict")] == [1, 1, 1]
    assert ids(moved.list(at("a")))[0] == "c9"
    ended = run(*commands["source"], "--update")
    assert ended.out.startswith("Nothing to be replaced.\n")
    assert "Nothing was changed" not in ended.err


def test_a_preview_makes_no_database(cli, saver, file, tmp_path):
    fill(saver, 1)
    cli("export", str(file))
    new = f"sqlite:///{tmp_path}/new.db"
    assert run("--url", new, "import", str(file), "--update").code == 3
    assert run("migrate", f"sqlite:///{file}", new, "--update").code == 3
    assert not (tmp_path / "new.db").exists()


def test_migrate_refuses_url(other):
    ended = run(*options_of(other), "migrate", url_of(other), "memory://")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "zerograph-redis: migrate has no --url: SRC and DST name its stores\n"


def test_export_and_import_of_some(cli, saver, other, file, tmp_path):
    for thread in ("a1", "a2", "b1"):
        fill(saver, 1, thread)
    listed = tmp_path / "ids"
    listed.write_text("a1\nb1\nnone")
    assert cli("export", str(file), "--threads", str(listed)).code == 6
    assert run(*options_of(other), "import", str(file), "--match", "b").code == 0
    assert thread_ids(other.open()) == ["b1"]
    listed.write_text("a1\nmissing")
    ended = run(*options_of(other), "import", str(file), "--threads", str(listed))
    assert (ended.code, ended.err) == (6, "1 thread stored.\nNot found: 'missing'.\n")
    assert sorted(thread_ids(other.open())) == ["a1", "b1"]


def test_an_existing_file_is_left_alone(cli, saver, file):
    fill(saver, 1)
    file.write_text("mine")
    ended = cli("export", str(file))
    assert (ended.code, ended.out) == (5, "")
    assert "exists already" in ended.err
    assert file.read_text() == "mine"


def test_nothing_is_stored_from_a_damaged_file_and_no_database_is_made(cli, saver, file, tmp_path):
    fill(saver, 3)
    cli("export", str(file))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])  # the very last bytes may be unused
    ended = run("--url", f"sqlite:///{tmp_path}/new.db", "import", str(file))
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith(f"zerograph-redis: {file} is refused: it is damaged or cut off: ")
    assert not (tmp_path / "new.db").exists()
    assert cli("import", str(tmp_path / "none")).code == 2


def test_a_damaged_thread_ends_with_4(real_store, file):
    saver = real_store.open()
    grow(saver, "good")
    grow(saver, "bad")
    real_store.client().setrange(f"{real_store.prefix}:{{bad}}:log:0", 100, "\0" * 50)
    ended = run(*options_of(real_store), "export", str(file))
    assert ended.code == 4
    assert "damaged" in ended.out
    assert "1 thread written." in ended.err
    assert file.exists()


def test_copy_copies_at_once_and_with_dry_run_only_shows_what(cli, saver):
    fill(saver, 3)
    ended = cli("copy", "thread", "[red]copy", "--dry-run")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Would copy 'thread' to '[red]copy': 3 checkpoints in 1 namespace, ")
    assert thread_ids(saver) == ["thread"]
    ended = cli("copy", "thread", "[red]copy")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Copied 'thread' to '[red]copy': 3 checkpoints in 1 namespace, ")
    assert ids(saver.list(at("[red]copy"))) == ["c2", "c1", "c0"]


def test_copy_as_json(cli, saver):
    fill(saver, 3)
    asked = cli("copy", "thread", "copy", "--dry-run", "--json").json
    assert asked == {"dry_run": True, "source": "thread", "target": "copy", "checkpoints": 3, "bytes": asked["bytes"]}
    assert cli("copy", "thread", "copy", "--json").json == {**asked, "dry_run": False}


def test_a_copy_has_the_whole_ttl_of_its_source(cli, saver):
    saver.put(at(ttl=5000), state("c0"), {})
    fill(saver, 1, "for ever")
    cli("copy", "thread", "copy")
    cli("copy", "for ever", "another")
    assert 4000 < thread_info(saver, "copy").ttl <= 5000
    assert thread_info(saver, "another").ttl is None


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_copy_refuses_an_existing_target_and_a_missing_source(cli, saver, options):
    fill(saver, 1, "a")
    fill(saver, 1, "b", start=5)
    assert cli("copy", "a", "b", *options).code == 5
    assert cli("copy", "a", "a", *options).code == 5
    assert cli("copy", "none", "c", *options).code == 6
    assert cli("copy", "a", "", *options).code == 2
    assert ids(saver.list(at("b"))) == ["c5"]


def test_a_terminal_sees_a_progress_bar_on_stderr_alone(real_store, other):
    saver = real_store.open()
    for number in range(20):
        fill(saver, 1, f"t{number}")
    ours, theirs = pty.openpty()
    impatient = "import sys; from zerograph_redis.cli import main, progress; progress._PATIENCE = 0; main()"
    command = [sys.executable, "-c", impatient, *prefix_of(real_store)]
    command += ["migrate", real_store.url, url_of(other), "--json"]
    shown = b""
    terminal = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=terminal) as process:
        # This end of the terminal stays open until then, so that all output is read.
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.05)[0]:
                shown += os.read(ours, 100_000)
        moved = json.loads(process.stdout.read())
    os.close(theirs)
    os.close(ours)
    assert b"Moving threads" in shown
    assert b"20/20" in shown
    assert moved["outcomes"]["moved"] == 20


def test_a_preview_reports_a_leased_thread_as_held(store, saver, other):
    grow(saver, "thread")
    command = (*prefix_of(store), "migrate", url_of(store), url_of(other), "--update")
    with other.open().lease("thread", owner="worker"):
        document = json.loads(run(*command, "--json").out)
    assert (document["dry_run"], document["outcomes"]["held"], document["outcomes"]["moved"]) == (True, 1, 0)
    assert as_json(run(*command, "--json"))["outcomes"]["moved"] == 1

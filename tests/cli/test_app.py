"""What all commands have in common: options, exit codes, errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from support.commands import options_of, run, run_process
from support.data import fill
from support.servers import free_port

import zerograph_redis


def test_the_version_is_shown():
    assert run("--version").out == f"zerograph-redis {zerograph_redis.__version__}\n"


def test_help_lists_the_exit_codes():
    text = " ".join(run("--help").out.split())
    assert "3 the store does not answer" in text
    assert "6 no such thread or checkpoint" in text


def test_wrong_usage_ends_with_2():
    assert run("threads", "--no-such-option").code == 2
    assert run("no-such-command").code == 2


def test_a_wrong_url_ends_with_2_and_one_line():
    ended = run("--url", "ftp://x", "threads")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("zerograph-redis: the URL's scheme must be one of redis, ")
    assert ended.err.count("\n") == 1


def test_a_server_that_does_not_answer_ends_with_3_and_its_password_stays_secret():
    ended = run_process("--url", f"redis://:sesame@127.0.0.1:{free_port()}/0", "threads")
    assert (ended.code, ended.out) == (3, "")
    assert "sesame" not in ended.err
    assert ended.err.startswith("zerograph-redis: ")
    assert ended.err.count("\n") == 1


def test_a_missing_database_ends_with_3_and_is_not_created(tmp_path):
    ended = run("--url", f"sqlite:///{tmp_path}/none.db", "threads")
    assert ended.code == 3
    assert ended.err == f"zerograph-redis: there is no SQLite database {tmp_path}/none.db\n"
    assert not list(tmp_path.iterdir())


def test_a_missing_default_database_names_the_ways_to_name_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZEROGRAPH_CHECKPOINT_URL", "")
    monkeypatch.setenv("REDIS_URL", "")
    ended = run("threads")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == (
        "zerograph-redis: there is no SQLite database checkpoints.db. It is the default without --url, "
        "ZEROGRAPH_CHECKPOINT_URL and REDIS_URL: name your store with one of these, for example --url "
        "redis://localhost:6379/0\n"
    )


def test_a_missing_database_of_the_environment_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROGRAPH_CHECKPOINT_URL", f"sqlite:///{tmp_path}/none.db")
    ended = run("threads")
    assert ended.code == 3
    assert f"{tmp_path}/none.db, which the environment variable ZEROGRAPH_CHECKPOINT_URL names" in ended.err


def test_an_unexpected_error_is_one_line_too(monkeypatch):
    monkeypatch.setattr("zerograph_redis.cli.threads.find_threads", None)
    ended = run("--url", "memory://", "threads")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("zerograph-redis: TypeError: ")
    assert ended.err.count("\n") == 1


@pytest.fixture
def two_threads(real_store):
    saver = real_store.open_bare()
    for name in ("--odd", "even"):
        saver.put({"configurable": {"thread_id": name}}, {"channel_values": {}}, {})
    return options_of(real_store)


def test_the_options_of_the_store_may_stand_after_the_command(two_threads):
    expected = run(*two_threads, "threads", "--json").json["threads"]
    assert {each["thread_id"] for each in expected} == {"--odd", "even"}
    url, prefix = two_threads[:2], two_threads[2:]
    for arguments in (
        ["threads", "--json", *two_threads],
        [*url, "threads", *prefix, "--json"],
        [*two_threads, "threads", *two_threads, "--json"],
        ["threads", f"--url={url[1]}", *prefix, "--json"],
    ):
        assert [each["thread_id"] for each in run(*arguments).json["threads"]] == ["even", "--odd"], arguments


def test_what_stands_for_a_value_or_after_two_dashes_is_no_option_of_the_store(two_threads):
    assert run("threads", *two_threads, "--match", "--odd", "--json").json["threads"][0]["thread_id"] == "--odd"
    assert run("show", *two_threads, "--json", "--", "--odd").json["thread_id"] == "--odd"
    assert run("show", *two_threads, "--", "--prefix").code == 6


def test_options_that_differ_before_and_after_the_command_are_wrong_usage(two_threads):
    ended = run(*two_threads, "threads", "--prefix", "other")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "zerograph-redis: --prefix stands before and after the command, with different values: give it once\n"
    )


def test_a_url_after_the_command_keeps_its_password_secret():
    ended = run("threads", "--url", f"redis://:sesame@127.0.0.1:{free_port()}/0", "--no-such-option")
    assert ended.code == 2
    assert "sesame" not in ended.err
    ended = run("--url", "memory://", "threads", "--url", "redis://:sesame@host")
    assert ended.code == 2
    assert "--url stands before and after the command" in ended.err
    assert "sesame" not in ended.err


def test_the_help_of_each_command_shows_the_options_of_the_store_apart():
    text = run("threads", "-h").out
    own, _, store = text.partition("Options of the store (before or after the command):\n")
    assert "--match" in own
    assert "--url" not in own
    for option in ("--url", "--prefix", "--types", "--debug"):
        assert option in store


def test_only_debug_shows_a_traceback(tmp_path):
    url = f"sqlite:///{tmp_path}/none.db"
    assert "Traceback" not in run_process("--url", url, "threads").err
    assert "Traceback" in run_process("--url", url, "--debug", "threads").err
    assert "Traceback" in run_process("threads", "--url", url, "--debug").err


def test_the_store_is_the_one_of_the_environment(real_store):
    saver = real_store.open_bare()
    saver.put({"configurable": {"thread_id": "a"}}, {"channel_values": {}}, {})
    variables = {"ZEROGRAPH_CHECKPOINT_URL": "", "REDIS_URL": real_store.url}
    assert "a" in run_process("--prefix", real_store.prefix, "threads", **variables).out


def test_without_the_extra_one_line_names_it():
    code = (
        "import sys; sys.modules['typer'] = None; sys.argv = ['zerograph-redis', 'threads']\n"
        "from zerograph_redis.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "zerograph-redis: the command line needs typer and rich: pip install 'zerograph-redis[cli]'\n"
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_knows_the_commands(shell):
    assert "threads" in completed(["zerograph-redis", "thr"], shell)


def test_shell_completion_knows_the_threads(real_store):
    saver = real_store.open_bare()
    for name in ("order-1", "order-2", "other"):
        fill(saver, 1, name)
    for words in ([*options_of(real_store), "show", "order-"], ["show", *options_of(real_store), "order-"]):
        assert completed(["zerograph-redis", *words]) == {"order-1", "order-2"}


def test_shell_completion_knows_the_options_of_the_store_after_the_command():
    assert completed(["zerograph-redis", "threads", "--u"]) == {"--url"}


def test_shell_completion_of_threads_is_quiet_about_a_missing_store(tmp_path):
    assert completed(["zerograph-redis", "--url", f"sqlite:///{tmp_path}/none.db", "show", ""]) == set()


def completed(words, shell="bash"):
    """What a shell offers for the last of the words."""
    line = " ".join(words)
    variables = {
        **os.environ,
        "_ZEROGRAPH_REDIS_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    code = "import sys; sys.argv[0] = 'zerograph-redis'\nfrom zerograph_redis.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=variables)
    assert done.stderr == ""
    return set(re.findall(r"[\w-]+", done.stdout))


def test_a_closed_pipe_ends_quietly(real_store):
    saver = real_store.open_bare()
    for number in range(300):
        saver.put({"configurable": {"thread_id": f"{number:0300}"}}, {"channel_values": {}}, {})
    command = [
        sys.executable,
        "-m",
        "zerograph_redis.cli",
        *options_of(real_store),
        "threads",
        "--limit",
        "300",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_an_encoding_that_lacks_characters_shows_question_marks(real_store):
    fill(real_store.open_bare(), 2, "é-1")
    shown = run_process(*options_of(real_store), "threads", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[-1].startswith("?-1 ")
    listed = run_process(*options_of(real_store), "threads", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert r'"thread_id": "\u00e9-1"' in listed.out


@pytest.mark.parametrize(
    ("option", "unused"), [("--version", {"redis", "zerograph", "msgspec"}), ("--help", {"redis"})]
)
def test_the_version_does_without_the_engine_and_help_without_the_client(option, unused):
    code = (
        f"import sys; sys.argv = ['zerograph-redis', {option!r}]\n"
        "from zerograph_redis.cli import main\n"
        "try: main()\n"
        f"except SystemExit: print(sorted({unused!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_is_listed_with_what_it_does_and_has_json():
    listed = run("--help").out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) > 5
    for line in listed:
        name, description = line.split(None, 1)
        assert not description.endswith("..."), line
        assert "--json" in run(name, "--help").out

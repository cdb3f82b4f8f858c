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


def test_the_version_is_told():
    assert run("--version").out == f"zerograph-redis {zerograph_redis.__version__}\n"


def test_help_lists_the_exit_codes():
    told = " ".join(run("--help").out.split())
    assert "3 the store does not answer" in told
    assert "6 that thread or checkpoint is not there" in told


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


def test_a_database_that_is_not_there_ends_with_3_and_is_not_made(tmp_path):
    ended = run("--url", f"sqlite:///{tmp_path}/none.db", "threads")
    assert ended.code == 3
    assert "there is no SQLite database" in ended.err
    assert not list(tmp_path.iterdir())


def test_only_debug_shows_a_traceback(tmp_path):
    url = f"sqlite:///{tmp_path}/none.db"
    assert "Traceback" not in run_process("--url", url, "threads").err
    assert "Traceback" in run_process("--url", url, "--debug", "threads").err


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
    words = ["zerograph-redis", *options_of(real_store), "show", "order-"]
    assert completed(words) == {"order-1", "order-2"}


def test_shell_completion_of_threads_is_quiet_about_a_store_that_is_not_there(tmp_path):
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


def test_a_terminal_of_few_characters_shows_what_it_can(real_store):
    fill(real_store.open_bare(), 2)
    shown = run_process(*options_of(real_store), "history", "thread", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[-1].startswith("? c0")
    told = run_process(*options_of(real_store), "threads", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert '"thread_id": "thread"' in told.out


def test_help_and_completion_do_without_the_engine_and_the_client():
    code = (
        "import sys; sys.argv = ['zerograph-redis', '--version']\n"
        "from zerograph_redis.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'redis', 'zerograph', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_is_listed_with_what_it_does_and_has_json():
    listed = run("--help").out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) > 5
    for line in listed:
        name, told = line.split(None, 1)
        assert not told.endswith("..."), line
        assert "--json" in run(name, "--help").out

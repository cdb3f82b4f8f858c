"""open_saver and aopen_saver."""

from __future__ import annotations

import asyncio
import logging

import pytest
from support.data import at, ids, state
from support.polling import until
from support.servers import RedisServer, free_port

from zerograph_redis import (
    AsyncRedisSaver,
    AsyncSqliteSaver,
    BackendUnavailableError,
    ConfigError,
    InMemorySaver,
    MsgpackSerializer,
    RedisSaver,
    SqliteSaver,
    aopen_saver,
    open_saver,
)

VARIABLES = ("ZEROGRAPH_CHECKPOINT_URL", "REDIS_URL")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["open_saver", "aopen_saver"])
def opening(request):
    """Either entrance, as a blocking function; what it opened is closed at the end."""
    opened = []
    with asyncio.Runner() as runner:
        if request.param == "open_saver":

            def call(*given, **options):
                opened.append(open_saver(*given, **options))
                return opened[-1]

            yield call
            for each in opened:
                each.close()
        else:

            def call(*given, **options):
                opened.append(runner.run(aopen_saver(*given, **options)))
                return opened[-1]

            yield call
            for each in opened:
                runner.run(each.aclose())


def works(saver):
    saver.put(at(), state("c0"), {})
    assert ids(saver.list(at())) == ["c0"]
    saver.delete_thread("thread")
    return True


def test_memory(opening):
    saver = opening("memory://")
    assert isinstance(saver, InMemorySaver)
    assert works(saver)


def test_sqlite_with_a_relative_path(opening, tmp_path):
    saver = opening("sqlite:///some.db")
    assert isinstance(saver, SqliteSaver)
    assert works(saver)
    assert (tmp_path / "some.db").exists()


def test_sqlite_with_an_absolute_path(opening, tmp_path):
    assert works(opening(f"sqlite:///{tmp_path / 'absolute.db'}"))
    assert (tmp_path / "absolute.db").exists()


def test_sqlite_with_an_escaped_path(opening, tmp_path):
    assert works(opening("sqlite:///with%20space.db"))
    assert (tmp_path / "with space.db").exists()


def test_sqlite_in_memory(opening, tmp_path):
    assert works(opening("sqlite:///:memory:"))
    assert not list(tmp_path.glob("*memory*"))


def test_redis(opening, redis_server):
    saver = opening(redis_server.url, prefix="opened")
    assert isinstance(saver, RedisSaver)
    assert works(saver)


def test_redis_with_a_database_and_a_password(opening, new_server):
    server = new_server(password="p@ss/word%")
    saver = opening(f"redis://:p%40ss%2Fword%25@127.0.0.1:{server.port}/3")
    saver.put(at(), state("c0"), {})
    client = server.client(db=3)
    assert client.dbsize() > 0
    client.close()


def test_unix(opening, new_server, tmp_path):
    new_server("--unixsocket", str(tmp_path / "s"))
    assert works(opening(f"unix://{tmp_path / 's'}"))


def test_redis_cluster(opening, new_server):
    server = new_server("--cluster-enabled", "yes")
    client = server.client()
    client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    client.close()
    saver = opening(f"redis+cluster://127.0.0.1:{server.port}")
    for thread in ("a", "b", "{c}"):
        config = saver.put(at(thread), state("c0"), {})
        saver.put_writes(config, [("t", "a", 1)], "")
        saver.put(config, state("c1"), {})
        assert ids(saver.list(at(thread))) == ["c1", "c0"]
        assert saver.copy_thread(thread, thread + " copied") == 2
        assert saver.prune(thread, 1) == 1
        saver.delete_thread(thread)
        assert saver.get_tuple(at(thread)) is None
        assert len(saver.get_tuple(at(thread + " copied", id="c0")).pending_writes) == 1


def test_redis_sentinel(opening, new_server, tmp_path):
    primary = new_server()
    config = f"sentinel monitor my-service 127.0.0.1 {primary.port} 1\n"
    with RedisServer(tmp_path / "sentinel", "--sentinel", config=config) as sentinel:
        saver = opening(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/my-service")
        assert works(saver)
        client = primary.client()
        saver.put(at(), state("c0"), {})
        assert client.dbsize() > 0
        client.close()


def test_aopen_saver_gives_awaited_savers(redis_server):
    async def run():
        kinds = []
        for url in ("memory://", "sqlite:///x.db", redis_server.url):
            async with await aopen_saver(url) as saver:
                kinds.append(type(saver))
                await saver.aput(at(), state("c0"), {})
                assert (await saver.aget(at()))["id"] == "c0"
                await saver.adelete_thread("thread")
        return kinds

    assert asyncio.run(run()) == [InMemorySaver, AsyncSqliteSaver, AsyncRedisSaver]


def test_without_an_url_it_is_a_file_here(opening, tmp_path):
    assert works(opening())
    assert (tmp_path / "checkpoints.db").exists()


@pytest.mark.parametrize("name", VARIABLES)
def test_an_environment_variable_names_the_url(opening, monkeypatch, tmp_path, name):
    monkeypatch.setenv(name, "sqlite:///named.db")
    opening()
    assert (tmp_path / "named.db").exists()


def test_the_own_variable_goes_before_that_of_redis_and_the_argument_before_both(opening, monkeypatch, tmp_path):
    monkeypatch.setenv("ZEROGRAPH_CHECKPOINT_URL", "sqlite:///own.db")
    monkeypatch.setenv("REDIS_URL", "sqlite:///redis.db")
    opening()
    opening("sqlite:///argument.db")
    assert sorted(each.name for each in tmp_path.glob("*.db")) == ["argument.db", "own.db"]


def test_an_empty_variable_is_none(opening, monkeypatch, tmp_path):
    monkeypatch.setenv("ZEROGRAPH_CHECKPOINT_URL", "")
    monkeypatch.setenv("REDIS_URL", "sqlite:///redis.db")
    opening()
    assert (tmp_path / "redis.db").exists()


@pytest.mark.parametrize("url", ["memory://", "sqlite:///x.db", "redis"])
def test_options_reach_the_saver_whichever_it_is(opening, redis_server, url):
    saver = opening(
        redis_server.url if url == "redis" else url,
        prefix="opened", ttl=100, keep_last=2, max_age=1000, refresh_on_read=False, serializer=MsgpackSerializer(),
    )  # fmt: skip
    for number in range(4):
        saver.put(at(), state(f"c{number}"), {})
    assert ids(saver.list(at())) == ["c3", "c2"]
    assert 90 < saver.list_threads()[0].ttl <= 100
    saver.delete_thread("thread")


@pytest.mark.parametrize("url", ["memory://", "sqlite:///x.db", "redis://localhost:1/0"])
def test_an_unknown_option_is_refused(opening, url):
    with pytest.raises(TypeError, match="colour"):
        opening(url, colour="red")


WRONG = {
    "no url": "scheme",
    "localhost:6379": "scheme",
    "": "scheme",
    "postgres://:hunter2@localhost/0": "scheme",
    "http://user:hunter2@localhost/0": "scheme",
    "redis://:hunter2@localhost:port/0": "port",
    "redis://:hunter2@localhost:99999/0": "port",
    "redis://:hunter2@localhost:-1/0": "port",
    "redis://:hunter2@/0": "host",
    "redis://": "host",
    "redis://:hunter2@localhost/nodb": "database",
    "rediss://:hunter2@localhost:x/0": "port",
    "unix://": "socket",
    "redis+sentinel://:hunter2@localhost:26379": "service",
    "redis+sentinel://:hunter2@localhost:26379,other:x/service": "port",
    "redis+sentinel://:hunter2@localhost:26379/service/nodb": "database",
    "redis+cluster://:hunter2@localhost:x": "port",
    "redis+cluster://:hunter2@localhost/1": "database",
    "redis://:hunter2@localhost/0?no_such_option=1": "option.* socket_timeout",
    "redis://:hunter2@localhost/0?socket_timeout=soon": "option socket_timeout",
    "sqlite://": "path",
    "sqlite:///": "path",
    "sqlite://relative.db": "path|slashes",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_url_says_which_part_and_never_the_password(opening, url):
    with pytest.raises(ConfigError, match=WRONG[url]) as caught:
        opening(url)
    assert isinstance(caught.value, ValueError)
    error = caught.value
    while error is not None:
        assert "hunter2" not in str(error)
        error = None if error.__suppress_context__ else error.__context__


@pytest.mark.parametrize("url", [7, b"redis://localhost", ["memory://"]])
def test_what_is_no_url_is_refused(opening, url):
    with pytest.raises(ConfigError):
        opening(url)


def test_the_fallback_is_opened_with_a_warning_when_the_server_is_out_of_reach(opening, caplog, tmp_path):
    url = f"redis://user:hunter2@127.0.0.1:{free_port()}/0?socket_connect_timeout=0.2"
    with caplog.at_level(logging.WARNING):
        saver = opening(url, fallback="sqlite:///fallback.db", keep_last=1, prefix="p", timeout=0.5)
    assert isinstance(saver, SqliteSaver)
    assert works(saver)
    assert (tmp_path / "fallback.db").exists()
    (record,) = [each for each in caplog.records if each.name == "zerograph_redis.savers.opening"]
    assert record.levelno == logging.WARNING
    assert "fallback.db" in record.getMessage()
    assert "127.0.0.1" in record.getMessage()
    assert "hunter2" not in record.getMessage()


def test_a_wrong_password_is_out_of_reach_too(opening, caplog, new_server):
    server = new_server(password="right")
    with caplog.at_level(logging.WARNING):
        saver = opening(f"redis://:hunter2@127.0.0.1:{server.port}/0", fallback="memory://", timeout=0.5)
    assert isinstance(saver, InMemorySaver)
    assert [each.name for each in caplog.records].count("zerograph_redis.savers.opening") == 1
    assert "hunter2" not in caplog.text


def test_without_a_fallback_an_unreachable_server_is_an_error(opening, caplog):
    with pytest.raises(BackendUnavailableError) as caught:
        opening(f"redis://:hunter2@127.0.0.1:{free_port()}/0", timeout=0.5)
    assert caught.value.__cause__ is not None
    assert "hunter2" not in str(caught.value)


def test_a_fallback_is_not_opened_while_the_server_answers(opening, caplog, redis_server, tmp_path):
    saver = opening(redis_server.url, fallback="sqlite:///fallback.db", prefix="opened")
    assert isinstance(saver, RedisSaver)
    assert not (tmp_path / "fallback.db").exists()
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_there_is_no_fallback_in_the_middle_of_a_run(opening, new_server, caplog, tmp_path):
    server = new_server()
    saver = opening(server.url, fallback="sqlite:///fallback.db", timeout=2)
    saver.put(at(), state("c0"), {})
    server.stop()
    with pytest.raises(BackendUnavailableError):
        saver.get_tuple(at())
    assert not (tmp_path / "fallback.db").exists()


def test_a_wrong_url_is_no_case_for_the_fallback(opening):
    with pytest.raises(ConfigError):
        opening("redis://localhost:x/0", fallback="memory://")


def test_a_wrong_fallback_is_refused_even_if_it_is_not_needed(opening, redis_server):
    with pytest.raises(ConfigError, match="scheme"):
        opening(redis_server.url, fallback="nowhere")


def test_the_log_says_which_store_was_opened_and_why(opening, log, monkeypatch, redis_server):
    def last():
        return log[-1].levelno, log[-1].getMessage()

    opening("memory://")
    assert last() == (logging.INFO, "checkpoints are kept in memory://: its URL was given")
    monkeypatch.setenv("REDIS_URL", redis_server.url.replace("://", "://default:hunter2@") + "?client_name=x")
    monkeypatch.setenv("ZEROGRAPH_CHECKPOINT_URL", "sqlite:///named.db")
    opening()
    reason = "the environment variable ZEROGRAPH_CHECKPOINT_URL names it"
    assert last() == (logging.INFO, f"checkpoints are kept in sqlite:///named.db: {reason}")


def test_the_default_file_is_opened_with_a_warning(opening, log):
    opening()
    assert log[-1].levelno == logging.WARNING
    assert log[-1].getMessage() == (
        "checkpoints are kept in sqlite:///checkpoints.db: no URL was given, and neither ZEROGRAPH_CHECKPOINT_URL nor "
        "REDIS_URL is set"
    )


def test_a_url_in_the_log_has_no_password(opening, log, redis_server):
    with pytest.raises(BackendUnavailableError):
        opening(redis_server.url.replace("://", "://somebody:hunter2@"), timeout=0.5)
    assert "hunter2" not in "".join(each.getMessage() for each in log)
    assert "somebody" not in "".join(each.getMessage() for each in log)

"""Whatever is wrong with a URL, no message about it contains any part of a secret."""

from __future__ import annotations

import asyncio
import logging
import shlex
import traceback
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import redis
import redis.asyncio.retry
import redis.retry
from support.commands import run, run_process

from zerograph_redis import AsyncRedisSaver, CheckpointError, RedisSaver, aopen_saver, open_saver

LETTERS = "qxzjkvw"
SHARP = [
    "/",
    "#",
    "?",
    "@",
    "%",
    " ",
    "\n",
    "\t",
    "\r",
    "[",
    "]",
    ":",
    "&",
    "=",
    ";",
    "+",
    ",",
    "\\",
    "'",
    '"',
    "%2",
    "%zz",
]
ODD = ["ä", "\u2100", "\uff20", "\u202e", "\u200b", "\x1b", "\x9b", "\x00", "\x7f", "\udcff", "\U0001f511"]  # fmt: skip
PARTS = 4  # characters of a secret that may be anywhere by chance


class Canary:
    """A secret whose words, at least four letters long, come nowhere else."""

    def __init__(self, chance):
        words = ["".join(chance.choices(LETTERS, k=chance.randint(4, 9))) for _ in range(chance.randint(1, 3))]
        self.text = words[0]
        for word in words[1:]:
            self.text += chance.choice(SHARP if chance.random() < 0.7 else ODD) + word
        if chance.random() < 0.2:
            self.text = quote(self.text, safe="", errors="replace")
        self._parts = {word[at : at + PARTS] for word in words for at in range(len(word) - PARTS + 1)}

    def found_in(self, text):
        text = text.lower()
        return [part for part in self._parts if part in text]


PLACES = {
    "password": "{scheme}://:{secret}@{host}{path}",
    "password of a user": "{scheme}://user:{secret}@{host}{path}",
    "user": "{scheme}://{secret}:other@{host}{path}",
    "user alone": "{scheme}://{secret}@{host}{path}",
    "no host": "{scheme}://:{secret}@{path}",
    "nothing behind": "{scheme}://:{secret}@",
    "no at": "{scheme}://:{secret}",
    "no at, but a port": "{scheme}://:{secret}:6379{path}",
    "port": "{scheme}://{host}:{secret}{path}",
    "port behind a password": "{scheme}://:{secret}@localhost:99999{path}",
    "port that is a word": "{scheme}://:{secret}@localhost:port{path}",
    "a host that is half an address": "{scheme}://:{secret}@[::1{path}",
    "a host that is half an address, from its end": "{scheme}://:{secret}@::1]{path}",
    "a host of empty labels": "{scheme}://:{secret}@a..b{path}",
    "a host of a long label": "{scheme}://:{secret}@" + "a" * 70 + ".b{path}",
    "database": "{scheme}://{host}/{secret}",
    "fragment": "{scheme}://{host}{path}#{secret}",
    "query": "{scheme}://{host}{path}?{secret}",
    "option that nobody knows": "{scheme}://{host}{path}?{secret}=1",
    "option password": "{scheme}://{host}{path}?password={secret}",
    "option password, then a wrong one": "{scheme}://{host}{path}?password={secret}&colour=red",
    "option username": "{scheme}://{host}{path}?username={secret}&password={secret}",
    "option ssl_password": "rediss://{host}{path}?ssl_password={secret}",
    "option of numbers": "{scheme}://{host}{path}?socket_timeout={secret}",
    "option of the driver's own": "{scheme}://{host}{path}?{driver}={secret}",
    "option certificates": "rediss://{host}{path}?ssl_cert_reqs={secret}",
    "behind a mistyped scheme": "redsi://:{secret}@{host}{path}",
    "behind no scheme": ":{secret}@{host}{path}",
    "behind one slash": "redis:/:{secret}@{host}{path}",
    "behind three slashes": "{scheme}:///:{secret}@{host}{path}",
    "behind a space": " {scheme}://:{secret}@{host}{path}",
    "before a newline": "{scheme}://:{secret}@{host}{path}\n",
    "scheme": "{secret}://{host}",
    "socket": "unix://:{secret}@/nowhere/redis.sock",
    "socket without a path": "unix://:{secret}@",
    "socket's option": "unix:///nowhere/redis.sock?password={secret}",
    "memory": "memory://:{secret}@{host}",
    "file's authority": "sqlite://:{secret}@{host}",
    "cluster": "redis+cluster://:{secret}@{host}/1",
    "cluster's port": "redis+cluster://:{secret}@localhost:x",
    "Sentinels": "redis+sentinel://:{secret}@{host},localhost:x/service",
    "Sentinels without service": "redis+sentinel://:{secret}@{host}",
    "Sentinels' database": "redis+sentinel://{host}/service/{secret}",
}  # fmt: skip
DRIVERS = (
    "retry", "connection_class", "credential_provider", "encoding", "protocol", "redis_connect_func", "parser_class",
    "ssl_min_version", "host", "port", "path", "client_name", "db", "max_connections", "ssl_ca_certs", "retry_on_error",
    "cache_config", "event_dispatcher", "driver_info", "lib_name", "ssl_keyfile", "socket_type", "command_packer",
)  # fmt: skip


def url_of(chance, place, secret, port):
    """Make a URL that is wrong somewhere, or whose server refuses the password."""
    scheme = chance.choice(["redis", "redis", "rediss"]) if place.startswith("option") else chance.choice(
        ["redis", "redis", "redis", "rediss", "redis+cluster", "redis+sentinel", "unix"])  # fmt: skip
    if place in {"no at", "no at, but a port", "port"}:
        secret = secret.replace("@", ":")  # what stands behind an @ of its own is the host
    if place == "database":
        scheme = "redis"  # the name of a service is no secret
    path = "/service" if scheme == "redis+sentinel" else chance.choice(["", "/", "/0", "/3"])
    host = "127.0.0.1:1" if "rediss" in f"{scheme} {PLACES[place]}" else f"127.0.0.1:{port}"  # nobody listens there
    return PLACES[place].format(scheme=scheme, secret=secret, host=host, path=path, driver=chance.choice(DRIVERS))


def chain(error) -> Iterator[BaseException]:
    """An error, and all that are behind it, shown or not."""
    seen = set()
    rest = [error]
    while rest:
        found = rest.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            yield found
            rest += [found.__cause__, found.__context__]


def words_of(error) -> str:
    """The text of an error and of all those behind it."""
    text = [f"{each} {each!r} {each.args!r} {vars(each)!r}" for each in chain(error)]
    return " ".join(text) + "".join(traceback.format_exception(error))


def use(saver):
    text = f"{saver!r} {vars(saver).get('_client')!r}"
    with saver:
        saver.list_threads()
    return text


async def ause(making):
    saver = await making if asyncio.iscoroutine(making) else making
    text = f"{saver!r} {vars(saver).get('_client')!r}"
    async with saver:
        await saver.alist_threads()
    return text


def from_environment(url, monkeypatch, name):
    with monkeypatch.context() as context:
        context.setenv(name, url)
        return use(open_saver())


WAYS = {
    "from_url": lambda url, _: use(RedisSaver.from_url(url)),
    "from_url with a wrong option": lambda url, _: use(RedisSaver.from_url(url, colour="red")),
    "from_url of the awaited saver": lambda url, _: asyncio.run(ause(AsyncRedisSaver.from_url(url))),
    "open_saver": lambda url, _: use(open_saver(url)),
    "open_saver with a fallback": lambda url, _: use(open_saver(url, fallback="sqlite:///fallback.db")),
    "fallback": lambda url, _: use(open_saver("unix:///nowhere/redis.sock", fallback=url)),
    "aopen_saver": lambda url, _: asyncio.run(ause(aopen_saver(url))),
    "the place of a client": lambda url, _: RedisSaver(url),
    "the place of an awaited client": lambda url, _: AsyncRedisSaver(url),
    "bytes": lambda url, _: open_saver(url.encode(errors="surrogateescape")),
    "own variable": lambda url, monkeypatch: from_environment(url, monkeypatch, "ZEROGRAPH_CHECKPOINT_URL"),
    "variable of Redis": lambda url, monkeypatch: from_environment(url, monkeypatch, "REDIS_URL"),
}


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Nobody waits before what failed is tried again, and files go to a place of the test's own."""
    monkeypatch.setattr(redis.retry, "sleep", lambda _: None)

    async def at_once(_):
        pass

    monkeypatch.setattr(redis.asyncio.retry, "sleep", at_once)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def guarded(new_server):
    """A server that wants a password that nobody has."""
    return new_server(password="p").port


def test_no_word_of_a_secret_leaves_the_api(rounds, quick, guarded, log, monkeypatch):
    faults = Counter()
    first = {}
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.DEBUG)
    records = logging.Handler()
    records.emit = log.append
    root.addHandler(records)
    done = 0
    for number, chance in rounds:
        secret = Canary(chance)
        place, way = chance.choice([*PLACES]), chance.choice([*WAYS])
        url = url_of(chance, place, secret.text, guarded)
        if "\x00" in url and "variable" in way:
            continue  # no environment can hold it
        log.clear()
        done += 1
        text = ""
        try:
            text = WAYS[way](url, monkeypatch)
        except (CheckpointError, TypeError) as error:
            text = words_of(error)
            if isinstance(error, TypeError) and "colour" not in str(error) and not isinstance(error, CheckpointError):
                faults[f"{type(error).__name__} from {place}"] += 1
        except Exception as error:  # noqa: BLE001 - what is looked for
            faults[f"{type(error).__name__} from {place}"] += 1
            first.setdefault(f"{type(error).__name__} from {place}", (number, way, url, repr(error)))
            text = words_of(error)
        text += "".join(logging.Formatter().format(record) + repr(vars(record)) for record in log)
        if secret.found_in(text):
            faults[f"leak of {place}"] += 1
            first.setdefault(f"leak of {place}", (number, way, url, text[:600]))
    root.removeHandler(records)
    assert not faults, f"{faults.total()} of {done}: {dict(faults.most_common())}\n{first}"


COMMANDS = {
    "the option": lambda url: ["--url", url, "threads"],
    "the option in one word": lambda url: [f"--url={url}", "threads", "--json"],
    "the doctor": lambda url: ["--url", url, "doctor", "--json"],
    "the option, with a traceback": lambda url: ["--url", url, "--debug", "stats"],
    "the option behind the command": lambda url: ["threads", "--url", url],
    "the place of the command": lambda url: [url, "threads"],
    "the place of a number": lambda url: ["--url", url, "threads", "--limit", url],
    "the place of a duration": lambda url: ["prune", "--idle", url],
    "one argument too many": lambda url: ["--url", "memory://", "threads", url],
    "a mistyped option": lambda url: ["--ur", url, "threads"],
    "a mistyped option in one word": lambda url: [f"--ulr={url}", "threads"],
    "a short option": lambda url: [f"-u{url}", "threads"],
    "no option, but a flag": lambda url: [f"--debug={url}", "threads"],
    "the source of a move": lambda url: ["migrate", url, "sqlite:///target.db"],
    "the target of a move": lambda url: ["migrate", "memory://", url],
    "without quotes": lambda url: ["--url", *url.split(), "threads"],
    "without quotes behind the command": lambda url: ["threads", "--url", *url.split()],
    "the environment": None,
}


def test_no_word_of_a_secret_leaves_the_command_line(rounds, quick, guarded, monkeypatch):
    faults = Counter()
    first = {}
    done = 0
    for number, chance in rounds:
        secret = Canary(chance)
        place, way = chance.choice([*PLACES]), chance.choice([*COMMANDS])
        url = url_of(chance, place, secret.text, guarded)
        if "\x00" in url or (way == "the place of the command" and url.startswith("-")):
            continue  # no argument can hold it
        done += 1
        try:
            if COMMANDS[way] is None:
                with monkeypatch.context() as context:
                    context.setenv("REDIS_URL", url)
                    arguments = ["threads"]
                    outcome = run(*arguments)
            else:
                arguments = COMMANDS[way](url)
                outcome = run_process(*arguments) if number % 200 == 199 else run(*arguments)
            text = outcome.out + outcome.err
            if outcome.code == 1 and "--debug" not in arguments and "doctor" not in arguments:
                faults[f"outside the tree: {place}"] += 1
                first.setdefault(f"outside the tree: {place}", (number, way, arguments, text[-300:]))
        except CheckpointError as error:
            text = words_of(error)
            if "--debug" not in arguments:
                faults[f"an error went through: {place}"] += 1
        except Exception as error:  # noqa: BLE001 - what is looked for
            text = words_of(error)
            faults[f"{type(error).__name__} from {place}"] += 1
            first.setdefault(f"{type(error).__name__} from {place}", (number, way, arguments, repr(error)))
        if secret.found_in(text):
            faults[f"leak of {place} by {way}"] += 1
            first.setdefault(f"leak of {place} by {way}", (number, way, shlex.join(arguments), text[:600]))
    assert not faults, f"{faults.total()} of {done}: {dict(faults.most_common())}\n{first}"

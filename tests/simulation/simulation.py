"""The scheduler: which worker continues, which fault happens, and which invariants hold after each request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from support.data import at

from zerograph_redis.core.requests import (
    DescribeThreads,
    GetCheckpoint,
    ListCheckpoints,
    Pause,
    PublishThread,
    PutCheckpoint,
    Request,
    ScanThread,
    WriteBatch,
)
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.states import PreparedPut
from zerograph_redis.core.thread_operations import ThreadOperations
from zerograph_redis.errors import BusyThreadError, CheckpointError, ConfigError

from .model import Model, Place
from .states import State, first_state, next_state
from .worlds import World

THREADS = ("a", "b")
NAMESPACES = ("", "x")
IDS = tuple(f"c{number}" for number in range(4))
WORKERS = 3
AT_ONCE = 3  # operations of one worker in progress
MOMENTS = 24  # earlier moments that the store may return to
LATE = 6  # requests that may arrive again, at any time
MOODS = {
    "puts": (40, 8, 12, 8, 6, 8, 6, 3, 3, 4),
    "retries": (15, 40, 10, 2, 2, 2, 0, 0, 0, 0),
    "copies": (20, 4, 4, 2, 4, 6, 12, 12, 4, 10),
    "batches": (40, 8, 12, 8, 6, 8, 6, 3, 3, 4),
}
"""How often each operation begins, in the order of `Simulation._begin`. In "batches", puts come several at once."""


class FindingError(AssertionError):
    """An invariant does not hold."""


@dataclass(eq=False)
class Task:
    """An operation in progress: its request is not yet sent, or its reply not yet delivered."""

    name: str
    operation: Any
    worker: Worker
    state: State | None = None
    request: Request[Any] | None = None
    reply: Any = None
    answered: bool = False
    expected: Any = None
    """What a reader with empty caches read at the moment of the last reply."""
    done: Callable[[Any], None] = lambda result: None


class Worker:
    """A process: its caches, and its operations in progress."""

    def __init__(self, settings: Settings) -> None:
        self.operations = ThreadOperations(settings)
        self.tasks: list[Task] = []
        self.views: dict[tuple[str, str], tuple[State, str]] = {}
        """By thread and namespace, the last state that it put or read, and its id."""


class Simulation:
    """Many workers on one world."""

    def __init__(self, world: World, settings: Callable[[], Settings], mood: str) -> None:
        self._world = world
        self._mood = MOODS[mood]
        self._batches = mood == "batches" and settings().encryption is None
        self._settings = settings
        self._workers = [Worker(settings()) for _ in range(WORKERS)]
        self._late: list[tuple[Request[Any], Task]] = []
        self._done: set[str] = set()
        """The last puts of the batches that are stored."""
        self._moments: list[Any] = []
        self._model = Model()
        self.log: list[str] = []
        self.puts = 0

    def step(self, seed: int) -> None:
        """Take one step, chosen by *seed* and by the operations in progress."""
        rng = Random(seed)
        tasks = [task for worker in self._workers for task in worker.tasks]
        choice = rng.random()
        if choice < 0.68 and tasks:
            self._advance(rng, rng.choice(tasks))
        elif choice < 0.90:
            worker = rng.choice(self._workers)
            if len(worker.tasks) < AT_ONCE:
                self._begin(rng, worker)
        else:
            self._disturb(rng)

    def finish(self) -> None:
        """Finish all operations, and read all threads."""
        for worker in self._workers:
            for task in list(worker.tasks):
                while task in worker.tasks:
                    if task.answered:
                        self._deliver(task)
                    else:
                        self._execute(task)
        self._audit()

    def _begin(self, rng: Random, worker: Worker) -> None:
        thread, namespace = rng.choice(THREADS), rng.choices(NAMESPACES, (3, 1))[0]
        operations, place = worker.operations, (thread, namespace)
        name = rng.choices(
            ("put", "put again", "get", "get one", "list", "writes", "copy", "copy again", "delete", "prune"),
            self._mood,
        )[0]
        match name:
            case "put" | "put again" if self._batches:
                task = self._batch(rng, worker, thread)
            case "put" | "put again":
                known = worker.views.get(place)
                base, parent = known or (first_state(rng), None)
                state = {**next_state(rng, base), "id": parent if name == "put again" and parent else rng.choice(IDS)}
                self._model.put(thread, (namespace, state["id"]), state)
                task = Task(
                    name, operations.put(at(thread, namespace, parent), state, {"n": seed_of(state)}), worker, state
                )
                task.done = lambda _: worker.views.__setitem__(place, (state, state["id"]))
            case "get" | "get one":
                wanted = rng.choice(IDS) if name == "get one" else None
                task = Task(name, operations.get_tuple(at(thread, namespace, wanted)), worker)
                task.done = lambda found: self._check_read(worker, place, task, [found] if found else [])
            case "list":
                limit = rng.choice((1, 3, None))
                task = Task(name, operations.list(at(thread, namespace), limit, None, None), worker)
                task.done = lambda found: self._check_read(worker, place, task, found)
            case "writes":
                checkpoint_id = rng.choice(IDS)
                writes = [(f"t{rng.randrange(2)}", "c", f"{thread}{rng.randrange(1000)}") for _ in range(2)]
                self._model.put_writes(thread, (namespace, checkpoint_id), writes)
                task = Task(name, operations.put_writes(at(thread, namespace, checkpoint_id), writes, "t"), worker)
            case "copy" | "copy again":
                source = rng.choice([each for each in THREADS if each != thread])
                self._model.copied(source, thread)
                task = Task(f"copy {source} to {thread}", operations.copy_thread(source, thread), worker)
                if name == "copy again":
                    task = Task(f"{task.name} again", self._copy_again(operations, source, thread), worker)
            case "delete":
                task = Task(f"delete {thread}", operations.delete_thread(thread, None), worker)
            case _:
                task = Task(f"prune {thread}", operations.prune(thread, rng.randrange(1, 4), None, None), worker)
        if not task.name.startswith("batch") and name in ("put", "put again", "get", "get one", "list", "writes"):
            task.name = f"{name} {thread}/{namespace}" + (f"/{task.state['id']}" if task.state else "")
        worker.tasks.append(task)
        self.log.append(f"worker {self._workers.index(worker)} begins: {task.name}")
        self._send(task, None)

    def _batch(self, rng: Random, worker: Worker, thread: str) -> Task:
        """Several puts and writes to a thread, like those of a write queue."""
        prepared: list[Any] = []
        seen: dict[str, tuple[State, str]] = {}
        for _ in range(rng.randrange(2, 6)):
            namespace = rng.choices(NAMESPACES, (2, 1))[0]
            state, parent = seen.get(namespace) or worker.views.get((thread, namespace)) or (first_state(rng), None)
            config = at(thread, namespace, parent)
            if parent is not None and rng.random() < 0.2:
                writes = [(f"t{rng.randrange(2)}", "c", f"{thread}{rng.randrange(1000)}")]
                self._model.put_writes(thread, (namespace, parent), writes)
                prepared.append(worker.operations.prepare_writes(config, writes, "t"))
                continue
            state = {**next_state(rng, state), "id": rng.choice(IDS)}
            self._model.put(thread, (namespace, state["id"]), state)
            prepared.append(worker.operations.prepare_put(config, state, {"n": seed_of(state)}))
            seen[namespace] = state, state["id"]
        last = next((each for each in reversed(prepared) if isinstance(each, PreparedPut)), None)
        state = None if last is None else seen[last.address.namespace][0]
        task = Task(f"batch of {len(prepared)} {thread}", self._store(worker, prepared), worker, state)
        task.done = lambda _: worker.views.update({(thread, each): view for each, view in seen.items()})
        return task

    @staticmethod
    def _store(worker: Worker, prepared: list[Any]) -> Any:
        operations = worker.operations
        while prepared:
            count = (yield from operations.store_batch(prepared)) if len(prepared) > 1 else 0
            if not count:
                is_put = isinstance(prepared[0], PreparedPut)
                yield from (operations.store_put if is_put else operations.store_writes)(prepared[0])
                count = 1
            del prepared[:count]

    @staticmethod
    def _copy_again(operations: ThreadOperations, source: str, target: str) -> Any:
        yield from operations.delete_thread(target, None)
        return (yield from operations.copy_thread(source, target))

    def _send(self, task: Task, reply: Any) -> None:
        """Run an operation up to its next request."""
        try:
            task.request = task.operation.send(reply)
            while isinstance(task.request, Pause):
                task.request = task.operation.send(None)
            task.answered, task.reply = False, None
        except StopIteration as end:
            task.worker.tasks.remove(task)
            task.done(end.value)
        except (BusyThreadError, ConfigError) as error:  # a target that is not empty
            self.log.append(f"{task.name}: {type(error).__name__}")
            task.worker.tasks.remove(task)
        except CheckpointError as error:
            raise FindingError(f"{task.name}: {type(error).__name__}: {error}") from error
        except Exception as error:
            raise FindingError(f"{task.name}: {type(error).__name__} outside the error tree: {error}") from error

    def _advance(self, rng: Random, task: Task) -> None:
        if task.answered:
            self._deliver(task)
            return
        fate = rng.random()
        if fate < 0.74:
            self._execute(task)
            if rng.random() < 0.6:
                self._deliver(task)
        elif fate < 0.82:
            self.log.append(f"{task.name}: the reply does not arrive, the client retries")
            self._execute(task)
            task.answered = False
        elif fate < 0.86:
            self.log.append(f"{task.name}: delivered twice")
            self._execute(task)
            self._execute(task)
        elif fate < 0.90:
            self.log.append(f"{task.name}: the client gives up, the request may arrive later")
            self._give_up(task)
        else:
            self.log.append(f"{task.name}: done, and will arrive again")
            self._keep_late(task)
            self._execute(task)

    def _deliver(self, task: Task) -> None:
        self._send(task, task.reply)

    def _give_up(self, task: Task) -> None:
        self._keep_late(task)
        task.operation.close()
        task.worker.tasks.remove(task)

    def _keep_late(self, task: Task) -> None:
        if not isinstance(task.request, GetCheckpoint | ListCheckpoints | ScanThread | DescribeThreads):
            self._late.append((task.request, task))
            del self._late[:-LATE]

    def _execute(self, task: Task) -> None:
        task.reply = self._ask(task.request, task)
        task.answered = True
        if isinstance(task.request, GetCheckpoint | ListCheckpoints):
            task.expected = self._reread(task.request)

    def _ask(self, request: Any, task: Task) -> Any:
        try:
            reply = self._world.execute(request)
        except CheckpointError as error:
            raise FindingError(f"{task.name}: {type(request).__name__}: {error}") from error
        self.log.append(f"{task.name}: {type(request).__name__} is done")
        if isinstance(request, PutCheckpoint) and reply is not None:
            self.puts += 1
            if not task.name.startswith("batch"):  # its state is not that of each put
                self._check_put(request, task)
        elif isinstance(request, WriteBatch) and reply is not None:
            self.puts += 1
            self._check_batch(request, task)
        elif isinstance(request, PublishThread) and reply:
            self._audit_thread(request.thread)
        if not isinstance(request, GetCheckpoint | ListCheckpoints):
            self._moments.append(self._world.snapshot())
            del self._moments[:-MOMENTS]
        return reply

    def _disturb(self, rng: Random) -> None:
        faults = ("late", "restart", "back", "failover", "failover and late", "flush", "expire", "audit")
        what = rng.choices(faults, (6, 3, 3, 8, 8, 1, 1, 3))[0]
        self.log.append(what)
        match what:
            case "late" if self._late:
                self._ask(*rng.choice(self._late))
            case "restart":
                place = rng.randrange(WORKERS)
                for task in list(self._workers[place].tasks):
                    self._give_up(task)
                self._workers[place] = Worker(self._settings())
            case "back" if self._moments:
                self._world.restore(rng.choice(self._moments), clock=rng.random() < 0.5)
            case "failover" | "failover and late" if len(self._moments) > 1:  # to a replica that missed the last writes
                self._world.restore(self._moments[-rng.randrange(2, min(8, len(self._moments) + 1))])
                if "late" in what:
                    for late in rng.sample(self._late, min(3, len(self._late))):
                        self._ask(*late)
            case "flush":
                self._world.restore(None)
            case "expire":
                self._world.expire(rng.choice(THREADS))
            case "audit":
                self._audit()

    def _check_put(self, request: PutCheckpoint, task: Task) -> None:
        """A worker with empty caches reads what was acknowledged."""
        config = at(request.thread, request.namespace, request.checkpoint_id)
        found = self._fresh(lambda operations: operations.get_tuple(config), task.name)
        if found is None and request.keep_last is None:
            raise FindingError(f"{task.name}: acknowledged, and not stored")
        if found is not None and found.checkpoint != task.state:
            raise FindingError(f"{task.name}: acknowledged, but another state is stored")

    def _check_batch(self, request: WriteBatch, task: Task) -> None:
        """All puts of a batch can be read, and the last is stored. A repeated batch may have been overwritten since."""
        puts = [each for each in request.writes if isinstance(each, PutCheckpoint)]
        if puts and puts[-1].attempt not in self._done:
            self._done.add(puts[-1].attempt)
            self._check_put(puts[-1], task)
        self._audit_thread(request.thread)

    def _check_read(self, worker: Worker, place: tuple[str, str], task: Task, found: list[Any]) -> None:
        thread, namespace = place
        for each in found:
            problem = self._model.problem(
                thread, (namespace, each.checkpoint["id"]), each.checkpoint, each.pending_writes
            )
            if problem:
                raise FindingError(f"{task.name}: {problem}")
        if task.expected is not None and [each.checkpoint for each in found] != task.expected:
            raise FindingError(f"{task.name}: not what a worker with empty caches reads")
        if len(found) == 1:
            worker.views[place] = found[0].checkpoint, found[0].checkpoint["id"]

    def _reread(self, request: GetCheckpoint | ListCheckpoints) -> list[Any]:
        """Read the same with empty caches."""
        if isinstance(request, GetCheckpoint):
            config = at(request.thread, request.namespace, request.checkpoint_id)
            found = self._fresh(lambda operations: operations.get_tuple(config), "get_tuple")
            return [] if found is None else [found.checkpoint]
        config = at(request.thread, request.namespace)
        found = self._fresh(lambda operations: operations.list(config, request.limit, None, None), "list")
        return [each.checkpoint for each in found]

    def _audit(self) -> None:
        for thread in THREADS:
            self._audit_thread(thread)

    def _audit_thread(self, thread: str) -> None:
        for namespace in NAMESPACES:
            config = at(thread, namespace)
            found = self._fresh(lambda operations, config=config: operations.list(config, None, None, None), "audit")
            for each in found:
                place: Place = (namespace, each.checkpoint["id"])
                if problem := self._model.problem(thread, place, each.checkpoint, each.pending_writes):
                    raise FindingError(f"audit: {problem}")

    def _fresh(self, make: Callable[[ThreadOperations], Any], name: str) -> Any:
        operation, reply = make(ThreadOperations(self._settings())), None
        try:
            while True:
                reply = self._world.execute(operation.send(reply))
        except StopIteration as end:
            return end.value
        except CheckpointError as error:
            raise FindingError(f"{name} with empty caches: {type(error).__name__}: {error}") from error


def seed_of(state: State) -> int:
    """A small value for the metadata."""
    return int(state["channel_values"]["n"])

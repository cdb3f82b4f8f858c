"""What was stored is nobody's object, and what was read belongs to the reader."""

from support.data import at, state


def test_changing_what_was_put_changes_nothing_stored(saver):
    config, given, metadata = at(), state("c0", messages=[{"a": [1]}]), {"parents": {"": "x"}}
    saver.put(config, given, metadata)
    given["channel_values"]["messages"][0]["a"].append(2)
    metadata["parents"]["y"] = 1
    config["configurable"]["thread_id"] = "other"
    found = saver.get_tuple(at())
    assert found.checkpoint == state("c0", messages=[{"a": [1]}])
    assert found.metadata == {"parents": {"": "x"}}


def test_changing_what_was_written_changes_nothing_stored(saver):
    value, writes = {"a": [1]}, []
    writes.append(("t", "a", value))
    saver.put_writes(at(id="c0"), writes, "")
    value["a"].append(2)
    writes.clear()
    assert saver.get_pending_writes(at(id="c0")) == [("t", "a", {"a": [1]})]


def test_changing_what_was_read_changes_nothing_stored(saver):
    config = saver.put(at(id="parent"), state("c0", messages=[1]), {"parents": {}})
    saver.put_writes(config, [("t", "a", [1])], "")
    for read in (lambda: saver.get_tuple(at()), lambda: saver.list(at())[0], lambda: saver.get_by_id("c0", "thread")):
        found = read()
        found.checkpoint["channel_values"]["messages"].append(2)
        found.metadata["parents"]["x"] = 1
        found.pending_writes[0][2].append(2)
        found.pending_writes.clear()
        found.config["configurable"].clear()
        found.parent_config["configurable"].clear()
        found = read()
        assert found.checkpoint == state("c0", messages=[1])
        assert found.metadata == {"parents": {}}
        assert found.pending_writes == [("t", "a", [1])]
        assert found.config == at(ns="", id="c0")
        assert found.parent_config == at(ns="", id="parent")


def test_changing_the_returned_config_changes_nothing(saver):
    config = saver.put(at(), state("c0"), {})
    config["configurable"]["checkpoint_id"] = "other"
    assert saver.get_tuple(at()).config == at(ns="", id="c0")


def test_two_reads_share_no_object(saver):
    saver.put(at(), state("c0", messages=[[1]]), {"parents": {}})
    first, second = saver.get_tuple(at()), saver.get_tuple(at())
    assert first == second
    assert first.checkpoint is not second.checkpoint
    assert first.checkpoint["channel_values"]["messages"][0] is not second.checkpoint["channel_values"]["messages"][0]
    assert first.metadata is not second.metadata


def test_an_object_stored_twice_in_a_state_comes_back_as_two(saver):
    shared = [1]
    saver.put(at(), state("c0", a=shared, b=shared), {})
    values = saver.get(at())["channel_values"]
    values["a"].append(2)
    assert values["b"] == [1]


def test_two_memory_savers_share_nothing(tmp_path):
    from zerograph_redis import InMemorySaver, SqliteSaver

    for make in (InMemorySaver, lambda: SqliteSaver(":memory:")):
        with make() as first, make() as second:
            first.put(at(), state("c0"), {})
            assert second.get_tuple(at()) is None


def test_another_saver_of_the_store_sees_everything(shared_store):
    first, second = shared_store.open(), shared_store.open()
    config = first.put(at(), state("c0"), {})
    second.put_writes(config, [("t", "a", 1)], "")
    second.put(config, state("c1"), {})
    assert first.get_tuple(config).pending_writes == [("t", "a", 1)]
    assert first.get(at()) == second.get(at()) == state("c1")


def test_blocking_and_awaited_methods_of_one_saver_share_a_store(store):
    saver = store.open()
    config = saver.put(at(), state("c0"), {})
    saver.saver.put_writes(config, [("t", "a", 1)], "")
    assert saver.get_tuple(at()) == saver.saver.get_tuple(at())
    assert saver.list(at()) == saver.saver.list(at())

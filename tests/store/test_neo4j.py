"""What only Neo4j has: a server that may be absent, old, full or of another mind; its indexes."""

from __future__ import annotations

import dataclasses
import pickle
import socket
from collections.abc import Callable
from typing import Any

import neo4j
import numpy as np
import pytest
from neo4j.exceptions import AuthError, ClientError, Neo4jError, ServiceUnavailable, TransientError

from naics_graph.errors import DatabaseError
from naics_graph.settings import Neo4jAuth
from naics_graph.store import neo4j_connection, neo4j_nearest
from naics_graph.store.contract import NearestRequest
from naics_graph.store.neo4j import SINCE, Neo4jStore
from naics_graph.store.neo4j_connection import Connection, explain
from tests.neo4j_server import Neo4jServer
from tests.store.sample import query_of, sample, sample_set

WRONG = "not the password"


def question(point: np.ndarray, **options: object) -> NearestRequest:
    return NearestRequest("2022", point, query_of(point), **options)  # type: ignore[arg-type]


def test_no_server_is_an_error_with_a_remedy() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"bolt://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(DatabaseError) as caught:
            Neo4jStore(uri, Neo4jAuth("neo4j", WRONG, "neo4j"))
    assert caught.value.exit_code == 4
    assert caught.value.where == uri
    assert "no Neo4j server answers" in caught.value.saw
    assert "docker/neo4j/server start" in caught.value.do
    assert WRONG not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_wrong_password_names_the_user_and_never_the_password(
    neo4j_server: Neo4jServer, scheme: str
) -> None:
    uri = neo4j_server.uri.replace("bolt", scheme)
    with pytest.raises(DatabaseError, match="refuses the password of user 'neo4j'") as caught:
        Neo4jStore(uri, Neo4jAuth("neo4j", WRONG, "neo4j"))
    chain = [caught.value, caught.value.__cause__]
    assert all(WRONG not in f"{error!s} {error!r}" for error in chain)
    assert "NEO4J_PASSWORD" in caught.value.do


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_an_unknown_database_is_named(neo4j_server: Neo4jServer, scheme: str) -> None:
    uri = neo4j_server.uri.replace("bolt", scheme)
    with pytest.raises(DatabaseError, match="no database of this name") as caught:
        Neo4jStore(uri, neo4j_server.auth._replace(database="elsewhere"))
    assert "NEO4J_DATABASE" in caught.value.do
    assert "elsewhere" in caught.value.where


def test_an_address_that_is_none(neo4j_server: Neo4jServer) -> None:
    with pytest.raises(DatabaseError, match="address cannot be used"):
        Neo4jStore("ftp://127.0.0.1", neo4j_server.auth)


def test_a_server_that_is_too_old_is_refused(
    neo4j_server: Neo4jServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neo4j_connection, "OLDEST", (3000, 1))
    with pytest.raises(
        DatabaseError, match=r"the server is Neo4j/\d.*older than 3000\.1"
    ) as caught:
        Neo4jStore(neo4j_server.uri, neo4j_server.auth)
    assert "use Neo4j 5.26 or newer" in caught.value.do


def coded(code: str, message: str) -> Neo4jError:
    """The error the driver makes of a failure message of the server."""
    return Neo4jError._hydrate_neo4j(code=code, message=message)


@pytest.mark.parametrize(
    ("error", "saw", "do"),
    [
        (
            coded("Neo.TransientError.General.MemoryPoolOutOfMemoryError", "no memory"),
            "ran out of memory",
            "transaction.total.max",
        ),
        (
            coded("Neo.TransientError.General.OutOfMemoryError", "no memory"),
            "ran out of memory",
            "-Xmx",
        ),
        (
            coded("Neo.DatabaseError.General.UnknownError", "IOException: No space left on device"),
            "no room on its disk",
            "free some",
        ),
        (
            coded("Neo.ClientError.Security.AuthenticationRateLimit", "slow down"),
            "too many wrong passwords",
            "wait",
        ),
        (
            coded("Neo.ClientError.Security.CredentialsExpired", "change it"),
            "has expired",
            "ALTER CURRENT USER",
        ),
        (
            coded("Neo.ClientError.General.ForbiddenOnReadOnlyDatabase", "no"),
            "is read-only",
            "read_only",
        ),
        (coded("Neo.ClientError.Statement.SyntaxError", "Invalid 'X'"), "Invalid 'X'", "report it"),
        (ServiceUnavailable("connection lost"), "connection lost", "docker/neo4j/server start"),
        (coded("Neo.ClientError.Security.Unauthorized", "no"), "password of user 'me'", "NEO4J_"),
    ],
)
def test_what_the_server_says_becomes_a_remedy(error: Neo4jError, saw: str, do: str) -> None:
    told, remedy = explain(error, "me")
    assert saw in told
    assert do in remedy


def test_the_driver_still_makes_the_classes_explain_knows() -> None:
    assert isinstance(coded("Neo.ClientError.Security.Unauthorized", "no"), AuthError)
    assert isinstance(coded("Neo.TransientError.General.OutOfMemoryError", "no"), TransientError)


def test_neither_repr_nor_pickle_hold_the_password(
    neo4j_store: Neo4jStore, neo4j_server: Neo4jServer
) -> None:
    packed = pickle.dumps(neo4j_store)
    connection = neo4j_store.__dict__["_connection"]
    assert isinstance(connection, Connection)
    for text in (
        repr(neo4j_store),
        str(neo4j_store.__dict__),
        repr(connection),
        packed.decode("latin1"),
    ):
        assert neo4j_server.password not in text
    assert neo4j_server.uri in repr(neo4j_store)
    with pickle.loads(packed) as copy:
        assert copy.vintages() == []


def test_a_read_query_that_writes_is_refused(
    neo4j_store: Neo4jStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    neo4j_store.migrate()
    with pytest.raises(DatabaseError, match="was run for reading"):
        neo4j_store.run("record_migration", name="0000_nothing")
    assert "0000_nothing" not in neo4j_store.migrations()
    modes = list[str]()
    session = neo4j.Driver.session

    def spy(driver: neo4j.Driver, **options: Any) -> neo4j.Session:
        assert options["database"] == "neo4j", "a session must name its database"
        modes.append(str(options.get("default_access_mode", "WRITE")))
        return session(driver, **options)

    monkeypatch.setattr(neo4j.Driver, "session", spy)
    neo4j_store.vintages()
    assert modes == ["READ"]


def test_a_lost_connection_is_opened_again(neo4j_store: Neo4jStore) -> None:
    mine = (
        "SHOW TRANSACTIONS YIELD connectionId, currentQuery WHERE currentQuery STARTS WITH 'SHOW'"
    )
    connection = neo4j_store.__dict__["_connection"]
    with connection.errors():
        driver = connection.__dict__["_driver"]
        lost = driver.execute_query(f"{mine} RETURN connectionId", database_="neo4j").records[0][0]
    with neo4j.GraphDatabase.driver(
        connection.uri, auth=neo4j_auth(), notifications_min_severity="OFF"
    ) as other:
        other.execute_query("CALL dbms.killConnection($id)", id=lost, database_="neo4j")
    assert neo4j_store.vintages() == []


def neo4j_auth() -> tuple[str, str]:
    from naics_graph import settings

    auth = settings.neo4j_auth()
    return auth.username, auth.password


def test_a_store_for_reading_writes_nothing(
    neo4j_store: Neo4jStore, neo4j_server: Neo4jServer
) -> None:
    taxonomy = sample()
    info, rows = sample_set(taxonomy, "first")
    neo4j_store.load(taxonomy)
    before = neo4j_store.counts()
    with Neo4jStore(neo4j_server.uri, read_only=True) as reader:
        verbs: list[Callable[[], object]] = [
            lambda: reader.load(taxonomy),
            lambda: reader.publish(info, rows),
            lambda: reader.activate_set("first"),
            lambda: reader.delete_set("first"),
        ]
        for verb in verbs:
            with pytest.raises(DatabaseError, match="opened for reading"):
                verb()
        assert reader.load(taxonomy, dry_run=True).unchanged
    assert neo4j_store.counts() == before


def test_nodes_are_labelled_by_level_and_indexed_without_quantisation(
    neo4j_store: Neo4jStore,
) -> None:
    taxonomy = sample()
    neo4j_store.load(taxonomy)
    connection = neo4j_store.__dict__["_connection"]
    labels = connection.read(
        "MATCH (n:Industry) RETURN n.level AS level, collect(DISTINCT labels(n)) AS labels"
    )
    assert {row["level"]: sorted(row["labels"][0]) for row in labels} == {
        2: ["Industry", "Sector"],
        3: ["Industry", "Subsector"],
        4: ["Industry", "IndustryGroup"],
        5: ["Industry", "NaicsIndustry"],
        6: ["Industry", "NationalIndustry"],
    }
    (index,) = connection.read(
        "SHOW VECTOR INDEXES YIELD state, properties, options RETURN state, properties, options"
    )
    config = index["options"]["indexConfig"]
    assert index["state"] == "ONLINE"
    # The option by its name in 5.26, and what 2026 shows for it.
    off = {"vector.quantization.enabled": False, "vector.quantization.type": "NONE"}
    shown = {name: value for name, value in config.items() if name in off}
    assert shown
    assert shown.items() <= off.items()
    assert config["vector.hnsw.m"] == 16
    filtered = neo4j_store.server_version >= SINCE["0003_filtered_vector_index"]
    assert index["properties"] == ["knn", *(["vintage", "level"] if filtered else [])]


def test_an_answer_from_an_index_that_is_behind_is_asked_again(
    neo4j_store: Neo4jStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    taxonomy = sample()
    info, rows = sample_set(taxonomy, "first")
    neo4j_store.load(taxonomy)
    neo4j_store.publish(info, rows)
    asked = list[str]()
    read = Connection.read

    def behind(connection: Connection, query: str, **parameters: object) -> list[dict[str, object]]:
        found = read(connection, query, **parameters)
        if "score" in query:
            asked.append(query)
            if len(asked) == 1:
                return [{**row, "score": 0.0} for row in found]
            if len(asked) == 2:
                return [*found[:-1], {**found[-1], "embedding_set": "another"}]
        return found

    monkeypatch.setattr(Connection, "read", behind)
    found = neo4j_store.nearest(question(rows.embedding[0], level=None, limit=5))
    assert len(asked) == 3
    assert {n.embedding_set for n in found} == {"first"}
    monkeypatch.setattr(neo4j_nearest, "ATTEMPTS", 0)
    with pytest.raises(DatabaseError, match="changed during each"):
        neo4j_store.nearest(question(rows.embedding[0]))


def test_other_vintages_in_the_index_leave_enough_rows(
    neo4j_store: Neo4jStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An index asked for so few that the other vintage's codes can fill the answer.
    monkeypatch.setattr(neo4j_nearest, "LEAST_FETCH", 1)
    monkeypatch.setattr(neo4j_nearest, "OVER_FETCH", 1)
    for vintage, dims in (("2017", 8), ("2022", 64)):
        taxonomy = sample(vintage)
        info, rows = sample_set(taxonomy, vintage, dims=dims, seed=dims)
        neo4j_store.load(taxonomy)
        neo4j_store.publish(info, rows)
    for point in rows.embedding[::5]:
        asked = question(point, limit=6)
        found = neo4j_store.nearest(asked)
        exact = neo4j_store.nearest(dataclasses.replace(asked, exact=True))
        assert len(found) == 6
        assert {n.embedding_set for n in found} == {"2022"}
        assert found[0].code == exact[0].code


def test_a_refused_write_rolls_back(neo4j_store: Neo4jStore) -> None:
    taxonomy = sample()
    neo4j_store.load(taxonomy)
    info, rows = sample_set(taxonomy, "first")
    before = neo4j_store.counts()
    twice = dataclasses.replace(info, id="second")
    connection = neo4j_store.__dict__["_connection"]
    connection.schema("CREATE (:Embedding {key: 'second|2022:11'})")
    with pytest.raises(DatabaseError, match="already exists"):
        neo4j_store.publish(twice, rows)
    connection.schema("MATCH (e:Embedding) DELETE e")
    assert neo4j_store.counts() == before
    neo4j_store.publish(twice, rows)


def test_client_errors_keep_the_words_of_the_server(neo4j_store: Neo4jStore) -> None:
    connection = neo4j_store.__dict__["_connection"]
    with pytest.raises(DatabaseError, match="Invalid input 'NONSENSE'") as caught:
        connection.read("NONSENSE")
    assert isinstance(caught.value.__cause__, ClientError)

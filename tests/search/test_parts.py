"""The parts of a question that need no database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from naics_graph.errors import UsageError
from naics_graph.search.catalogue import DIALECTS, bind, hybrid_queries, hybrid_query, parse
from naics_graph.search.results import PathStep, score_of
from naics_graph.search.search import MAX_TEXT, clean_text, measure
from naics_graph.search.why import closest, kinship
from naics_graph.store.contract import Neighbour
from tests.geometry.reference import geoopt_lorentz
from tests.search.reference import REFERENCES
from tests.search.world import make_world


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u2003"])
def test_a_text_without_words_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        clean_text(text)


@pytest.mark.parametrize(
    ("text", "code_point"), [("dog\x00grooming", "U\\+0000"), ("a \x1b[0m", "U\\+001B"),
                             (b"caf\xe9".decode("utf-8", "surrogateescape"), "U\\+DCE9")]
)  # fmt: skip
def test_control_and_undecodable_characters_are_named(text: str, code_point: str) -> None:
    with pytest.raises(UsageError, match=code_point):
        clean_text(text)


def test_white_space_runs_become_one_space() -> None:
    assert clean_text("  dog\n grooming\t van ") == "dog grooming van"


def test_a_document_is_refused_and_the_longest_text_is_not() -> None:
    assert clean_text("x" * MAX_TEXT)
    with pytest.raises(UsageError, match="characters"):
        clean_text("x" * (MAX_TEXT + 1))


def test_score_falls_strictly_from_one_and_stays_positive() -> None:
    distances = [0.0, 1e-9, 0.1, 1.0, 12.0, 1e6]
    scores = [score_of(distance) for distance in distances]
    assert scores[0] == 1.0
    assert scores == sorted(set(scores), reverse=True)
    assert scores[-1] > 0.0


@pytest.mark.parametrize("curvature", [0.1, 0.5, 2.0, 10.0])
def test_measure_orders_by_geodesic_distance_as_geoopt_has_it(curvature: float) -> None:
    world = make_world("2022", seed=5, curvature=curvature)
    neighbours = [
        Neighbour(code, code, 6, point, "s", ())
        for code, point in zip(world.index.codes, world.points, strict=True)
    ]
    query = world.points[4]
    wanted = geoopt_lorentz(curvature).dist(
        torch.from_numpy(query)[None].expand(len(world.points), -1), torch.from_numpy(world.points)
    )
    found = measure(query, neighbours, curvature)
    by_code = dict(zip(world.index.codes, wanted.tolist(), strict=True))
    assert [m.distance for m in found] == sorted(m.distance for m in found)
    for measured in found[1:]:
        assert measured.distance == pytest.approx(by_code[measured.neighbour.code], abs=1e-6)
    assert found[0].neighbour.code == world.index.codes[4]


def test_equal_distances_are_ordered_by_code() -> None:
    point = np.array([1.0, 0.0, 0.0])
    twins = [Neighbour(code, "", 6, point, "s", ()) for code in ("222222", "111111")]
    assert [m.neighbour.code for m in measure(point, twins, 1.0)] == ["111111", "222222"]


def test_measuring_nothing_is_nothing() -> None:
    assert measure(np.array([1.0, 0.0]), [], 1.0) == []


def test_the_closest_text_is_the_one_that_shares_most_letter_triples() -> None:
    texts = [
        ("title", ["Pet Care (except Veterinary) Services"]),
        ("example", ["Animal shelters"]),
        ("index entry", ["Grooming services, animal", "Dog grooming services", "Pet boarding"]),
    ]
    found = closest("mobile DOG-grooming", texts)
    assert (found.kind, found.text) == ("index entry", "Dog grooming services")
    # By hand: 19 triples of the query, 21 of the entry, 12 shared.
    assert found.overlap == pytest.approx(12 / (19 + 21 - 12))
    assert "Dog grooming services" in str(found)


def test_no_resemblance_is_said_and_names_no_text() -> None:
    found = closest("zzz", [("title", ["Soybean Farming"])])
    assert found.overlap == 0.0
    assert "Soybean" not in str(found)


def test_kinship_counts_the_edges_of_the_tree() -> None:
    world = make_world("2022", seed=0, curvature=1.0)
    position, edges = world.index.position, world.tree.distance
    paths = {c: [PathStep(s, s) for s in world.index.path(c)] for c in world.index.codes}
    origin = "111111"
    for code in world.index.codes:
        if code == origin:
            continue
        said = kinship(paths[code], paths[origin])
        number = int(edges[position[code], position[origin]])
        assert f"{number} edge{'' if number == 1 else 's'} apart" in said
        assert ("above it" in said) == (code in world.index.ancestors(origin))
    assert "below it" in kinship(paths[origin], paths["111"])
    assert "other sector" in kinship(paths["54"], paths[origin])
    assert "under 1111 " in kinship(paths["111120"], paths[origin])


def test_both_dialects_ship_every_query_and_every_query_has_a_reference() -> None:
    for dialect in DIALECTS:
        assert set(hybrid_queries(dialect)) == set(REFERENCES)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_parameter_of_a_query_is_declared_and_used(dialect: str) -> None:
    import re

    for query in hybrid_queries(dialect).values():
        assert set(re.findall(r"\$(\w+)", query.body)) == set(query.parameters), query.name
        assert "$vintage" in query.body, query.name


def test_a_value_takes_the_type_of_its_sample() -> None:
    query = hybrid_query("neo4j", "nearest_under")
    values = bind(query, ["code=111110", "limit=3"], {"vintage": "2017", "unknown": 1})
    assert values == {"vintage": "2017", "code": "111110", "within": "51", "limit": 3}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [("limt=3", "limit"), ("limit", "limit"), ("limit=many", "int"), ("limit=true", "int"),
     ("limit=1.5", "int")],
)  # fmt: skip
def test_a_bad_assignment_names_what_to_write(assignment: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        bind(hybrid_query("ladybug", "nearest_under"), [assignment])
    assert message in str(caught.value)


def test_an_unknown_query_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="siblings"):
        hybrid_query("ladybug", "sibling")


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (n) RETURN n;",
        "// Purpose.\nRETURN 1;",
        "// P.\n// Dialect: x\n// :param x 1\nRETURN 1;",
    ],
)
def test_a_header_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="q_bad"):
        parse("bad", "common", text)


def test_queries_only_read() -> None:
    root = Path(__file__).parents[2] / "cypher"
    words = {"CREATE", "MERGE", "SET", "DELETE", "REMOVE", "DROP", "LOAD", "COPY"}
    for file in root.glob("*/q_*.cypher"):
        statement = "\n".join(
            line for line in file.read_text("utf-8").splitlines() if not line.startswith("//")
        )
        assert not words & set(statement.upper().split()), file.name

"""The tables of an embedded database as Arrow tables: read, changed, written to a new file.

Deleting and adding rows in a live ladybug file is slow and, in version 0.22, can crash (COPY after
DELETE in one session); filling a new file with COPY is fast and is the whole of a write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from naics_graph.errors import DatabaseError
from naics_graph.store import sets
from naics_graph.store.contract import EmbeddingRows, EmbeddingSetInfo, Progress, Row
from naics_graph.store.ladybug_file import Opened
from naics_graph.store.plan import LoadPlan
from naics_graph.store.queries import load_query, statements

DIALECT: Final = "ladybug"
TABLES: Final = (
    "Migration",
    "Vintage",
    "Industry",
    "IndexEntry",
    "EmbeddingSet",
    "Embedding",
    "HAS_CHILD",
    "EXCLUDES",
    "CLASSIFIED_AS",
    "BECAME",
    "OF",
)
"""In the order of read_tables.cypher and copy_tables.cypher: nodes before relationships."""
ACTIVE: Final = ("embedding_set", *sets.VECTORS)
"""Columns of Industry that the active set fills."""

Tables = dict[str, Any]
"""A pyarrow.Table by name of TABLES."""


def read_tables(database: Opened, where: str) -> Tables:
    """All tables of a database with the newest schema.

    Raises:
        DatabaseError: it has tables of somebody else's, which a write would lose.
    """
    names = [row[0] for row in database.execute(load_query(DIALECT, "show_tables")).get_all()]
    foreign = sorted(set(names) - set(TABLES))
    if foreign:
        raise DatabaseError(
            f"the database has tables of another program: {', '.join(foreign)}",
            where=where,
            do="keep them in a file of their own; naics-graph rewrites its file as a whole",
        )
    queries = statements(load_query(DIALECT, "read_tables"))
    return {
        name: database.execute(query).get_as_arrow()
        for name, query in zip(TABLES, queries, strict=True)
    }


def write_tables(database: Opened, tables: Tables, progress: Progress | None = None) -> None:
    """Fill a database that has the schema and no rows."""
    queries = statements(load_query(DIALECT, "copy_tables"))
    total, done = sum(table.num_rows for table in tables.values()), 0
    for name, query in zip(TABLES, queries, strict=True):
        if tables[name].num_rows:
            database.execute(query, {"rows": tables[name]})
        done += tables[name].num_rows
        if progress is not None:
            progress("writing the database", done, total)


def loaded(tables: Tables, plan: LoadPlan) -> Tables:
    """The tables after a load: the rows of one vintage replaced, codes that vanished kept."""
    vintage = plan.taxonomy.vintage
    result = dict(tables)
    rows = {str(name): found for name, found in plan.rows.items()} | {"Vintage": [plan.vintage]}
    for name in ("Vintage", "IndexEntry", "EXCLUDES", "CLASSIFIED_AS"):
        others = tables[name].filter(pc.invert(_of_vintage(tables[name], vintage)))
        result[name] = _append(others, rows[name])
    result["Industry"] = _industries(tables["Industry"], plan)
    for name, key in (("HAS_CHILD", _edge_keys), ("BECAME", _own_keys)):
        kept = tables[name].filter(pc.invert(_among(key(tables[name]), plan.to_delete[name])))  # type: ignore[index]
        result[name] = _append(kept, plan.diffs[name].created)  # type: ignore[index]
    return result


def published(tables: Tables, info: EmbeddingSetInfo, rows: EmbeddingRows) -> Tables:
    """The tables with one further set, inactive."""
    columns = sets.embedding_columns(info, rows)
    vectors = {
        name: pa.array(list(values) if np.ndim(values) == 2 else values)
        for name, values in columns.items()
    }
    schema = tables["Embedding"].schema
    nodes = pa.table(
        [vectors[name].cast(schema.field(name).type) for name in schema.names], schema=schema
    )
    edges = pa.table({"start": columns["key"], "end": columns["industry"]})
    return {
        **tables,
        "EmbeddingSet": _append(tables["EmbeddingSet"], [sets.set_row(info, active=False)]),
        "Embedding": pa.concat_tables([tables["Embedding"], nodes]),
        "OF": pa.concat_tables([tables["OF"], edges.cast(tables["OF"].schema)]),
    }


def activated(tables: Tables, vintage: str, set_id: str) -> Tables:
    """The tables with a set's vectors on the Industry rows of its vintage, its status active."""
    industries, embeddings = tables["Industry"], tables["Embedding"]
    chosen = embeddings.filter(pc.equal(embeddings["set"], set_id))
    industry_of = dict(
        zip(*(tables["OF"][end].to_pylist() for end in ("start", "end")), strict=True)
    )
    place = {industry_of[key]: i for i, key in enumerate(chosen["key"].to_pylist())}
    chosen = chosen.append_column("embedding_set", chosen["set"])
    mine = _of_vintage(industries, vintage)
    own, others = industries.filter(mine), industries.filter(pc.invert(mine))
    own = _with_active(own, chosen, [place.get(key) for key in own["key"].to_pylist()])
    rows = [_flipped(row, vintage, set_id) for row in tables["EmbeddingSet"].to_pylist()]
    return {
        **tables,
        "Industry": pa.concat_tables([others, own]),
        "EmbeddingSet": pa.Table.from_pylist(rows, schema=tables["EmbeddingSet"].schema),
    }


def without_set(tables: Tables, set_id: str) -> Tables:
    """The tables without one set."""
    gone = tables["Embedding"].filter(pc.equal(tables["Embedding"]["set"], set_id))["key"]
    keep: Mapping[str, Callable[[Any], Any]] = {
        "EmbeddingSet": lambda table: pc.not_equal(table["id"], set_id),
        "Embedding": lambda table: pc.not_equal(table["set"], set_id),
        "OF": lambda table: pc.invert(_among(table["start"], gone.to_pylist())),
    }
    return {
        **tables,
        **{name: tables[name].filter(mask(tables[name])) for name, mask in keep.items()},
    }


def _industries(old: Any, plan: LoadPlan) -> Any:
    mine = _of_vintage(old, plan.taxonomy.vintage)
    before, others = old.filter(mine), old.filter(pc.invert(mine))
    gone = before.filter(_among(before["key"], plan.vanished)).to_pylist()
    emptied: Row = {"description": "", "examples": [], "excluded": []} if plan.split else {}
    kept = pa.Table.from_pylist(
        [{**row, **emptied, "missing": True, "hash": ""} for row in gone], schema=old.schema
    )
    new = pa.Table.from_pylist(plan.rows["Industry"], schema=old.schema)
    place = {key: i for i, key in enumerate(before["key"].to_pylist())}
    new = _with_active(new, before, [place.get(key) for key in new["key"].to_pylist()])
    return pa.concat_tables([others, new, kept])


def _with_active(table: Any, source: Any, rows: Sequence[int | None]) -> Any:
    """`table` with the vectors of these rows of `source`; null where the row is None."""
    taken = source.select(list(ACTIVE)).take(pa.array(rows, pa.int64()))
    for name in ACTIVE:
        field = table.schema.field(name)
        table = table.set_column(
            table.schema.get_field_index(name), field, taken[name].cast(field.type)
        )
    return table


def _flipped(row: Row, vintage: str, set_id: str) -> Row:
    if row["vintage"] != vintage:
        return row
    return {**row, "status": "active" if row["id"] == set_id else "inactive"}


def _append(table: Any, rows: Iterable[Row]) -> Any:
    return pa.concat_tables([table, pa.Table.from_pylist(list(rows), schema=table.schema)])


def _of_vintage(table: Any, vintage: str) -> Any:
    if "vintage" in table.column_names:
        return pc.equal(table["vintage"], vintage)
    return pc.starts_with(table["start"], pattern=f"{vintage}:")


def _edge_keys(table: Any) -> Any:
    return pc.binary_join_element_wise(table["start"], table["end"], ">")


def _own_keys(table: Any) -> Any:
    return table["key"]


def _among(values: Any, wanted: Sequence[str]) -> Any:
    return pc.is_in(values, value_set=pa.array(list(wanted), pa.string()))

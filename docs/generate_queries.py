"""Write docs/queries.md from the query files, and the sample results from a trained database.

    python -m docs.generate_queries                  # text from the files, sample results kept
    python -m docs.generate_queries --database DB    # sample results asked from DB too

`tests/docs` compares the page with the files: a query that changed without its page fails there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from naics_graph.handle import Handle
from naics_graph.search.catalogue import (
    DIALECTS,
    HybridQuery,
    Value,
    hybrid_queries,
    run_hybrid,
)
from naics_graph.store.contract import Row

PAGE = Path(__file__).parent / "queries.md"
_SAMPLE = re.compile(r"<!-- sample (\w+) -->\n(.*?)<!-- /sample -->\n", re.DOTALL)
_PENDING = "No sample yet: `python -m docs.generate_queries --database DB` asks for one.\n"
_CELL = 110
"""Characters of a cell before it is cut: cross-references run to paragraphs."""

INTRO = """# Hybrid queries

Graph, text and geometry in one Cypher statement. Every query below is a file of `cypher/`:
`cypher/neo4j/q_NAME.cypher` for Neo4j, `cypher/ladybug/q_NAME.cypher` for the embedded database,
`cypher/common/q_NAME.cypher` where one text serves both. They read the active embedding set of a
vintage, so load and train first.

- **Neo4j Browser**: paste the `:param` lines without their slashes, then the statement.
- **Command line**: `naics-graph query NAME --param key=value`, on either database, `--json` for
  machines, `--show` for the Cypher, `--list` for all names.
- **Library**: `naics_graph.search.catalogue.run_hybrid(handle.store, NAME, parameters)`.

Distances are geodesic in the set's space of curvature -c: arcosh(-c <x, y>) / sqrt(c), written with
the logarithm because Cypher has no arcosh, and 0 where rounding takes the argument below 1. Near 0
the logarithm form is good to about 1e-5; `naics-graph search` measures in the polar form. On Neo4j
the queries that look for what is near one code take `$candidates` from the vector index first and
measure those exactly: more candidates, nearer to a full scan. Those that look for near pairs
measure all pairs, on either database: codes that are far in the tree are not among each other's
nearest hundreds, which is all an index gives. The embedded database has no vector index and scans;
its queries have no `$candidates`, and take the Lorentz product from the stored `knn` vectors, [x0,
xs, z, 0 ...] with z = sqrt(M^2 - |x|^2): <x, y> = knn . knn - 2 x0 y0 - zx zy, one array product
instead of a sum over a list. Both dialects express all of the queries below; they differ in the
first index of a list (0, 1), in `log` and `ln`, and in how they sum.

"""


def render(samples: Mapping[str, str]) -> str:
    """The page, with the sample results given by query name."""
    by_dialect = {dialect: hybrid_queries(dialect) for dialect in DIALECTS}
    names = sorted(set().union(*by_dialect.values()))
    sections = [
        _section(name, [queries[name] for queries in by_dialect.values()], samples.get(name))
        for name in names
    ]
    return INTRO + "\n".join(sections)


def samples_in(page: str) -> dict[str, str]:
    """The sample results that stand in a page, by query name."""
    return {match[1]: match[2] for match in _SAMPLE.finditer(page)}


def ask(database: str) -> dict[str, str]:
    """Sample results of every query with the sample parameters of its header."""
    samples: dict[str, str] = {}
    with Handle(database) as handle:
        for name, query in hybrid_queries(handle.store.dialect).items():
            rows = run_hybrid(handle.store, name, query.parameters)
            samples[name] = table(rows)
    return samples


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; long cells are cut."""
    if not rows:
        return "No rows.\n"
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _section(name: str, queries: Sequence[HybridQuery], sample: str | None) -> str:
    neo4j, *_ = queries
    parameters = ", ".join(f"`{k}` ({_literal(v)})" for k, v in neo4j.parameters.items())
    blocks = [f"## {name}\n\n{neo4j.purpose}\n\nParameters, with sample values: {parameters}.\n"]
    blocks += [
        f"`cypher/{query.folder}/q_{name}.cypher`\n\n```cypher\n{query.text}```\n"
        for query in {query.text: query for query in queries}.values()
    ]
    blocks.append(
        f"Sample result:\n\n<!-- sample {name} -->\n{sample or _PENDING}<!-- /sample -->\n"
    )
    return "\n".join(blocks)


def _literal(value: Value) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def _cell(value: object) -> str:
    if isinstance(value, list):
        text = " › ".join(str(item) for item in value)
    else:
        text = f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--database", help="a trained database to ask for sample results")
    database = parser.parse_args(arguments).database
    samples = samples_in(PAGE.read_text("utf-8")) if PAGE.exists() else {}
    if database:
        samples |= ask(database)
    PAGE.write_text(render(samples), encoding="utf-8")


if __name__ == "__main__":
    main()

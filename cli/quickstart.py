"""`naics-graph quickstart`: everything once, from the edition in the package to an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .common import DatabaseOption, QuietOption, note, print_table, progress
from .search import print_hits
from .train import print_report

if TYPE_CHECKING:
    from naics_graph.pipeline import TrainConfig
    from naics_graph.search.catalogue import Value

TEXT = "mobile dog grooming"
SHORT = (
    "entries_per_code=16",
    "contrast.epochs=4",
    "contrast.batch_size=256",
    "contrast.validate_every=0",
    "contrast.map.channel_dropout=0.1",
    "contrast.objective.residual_dropout=0",
    "refine.epochs=2",
    "refine.validate_every=0",
)
"""Settings that fit in five minutes on two cores, encoding included."""


def quickstart(
    text: Annotated[
        str, typer.Option("--text", metavar="TEXT", help="What to search for at the end.")
    ] = TEXT,
    database: DatabaseOption = None,
    quiet: QuietOption = False,
) -> None:
    """Load the edition in the package, train, write back, and ask one hybrid question.

    NAICS 2022 comes with the package in texts of our own, and the training is a short one; for the
    official texts see `naics-graph fetch`, `load --source census` and `train`.
    """
    from naics_graph import connect
    from naics_graph.search.catalogue import hybrid_query, run_hybrid

    with connect(database) as handle:
        note(f"database: {handle.database}", quiet=quiet)
        with progress(quiet=quiet) as report_progress:
            loaded = handle.load(vintage="2022", progress=report_progress)
            trained = handle.train(_short(), vintage="2022", progress=report_progress)
        note(f"loaded {loaded.codes} codes in {loaded.seconds:.1f} s", quiet=quiet)
        print_report(trained, quiet=quiet)
        note(f'\nnaics-graph search "{text}"', quiet=quiet)
        found = handle.search(text, vintage="2022", limit=5)
        print_hits(found.results)
        best = found.results[0]
        sector = best.path[0].code
        parameters: dict[str, Value] = {
            "vintage": "2022",
            "code": best.code,
            "within": sector,
            "limit": 5,
        }
        cypher = hybrid_query(handle.store.dialect, "nearest_under")
        note(f"\n{cypher.text}", quiet=quiet)
        rows = run_hybrid(handle.store, "nearest_under", parameters)
        print_table(
            ["code", "title", "distance", "path"],
            [[r["code"], r["title"], r["distance"], " › ".join(r["path"])] for r in rows],
            title=f"nearest to {best.code} {best.title} below {sector}",
        )


def _short() -> TrainConfig:
    """Settings for a first look: part of the phrases, fewer epochs."""
    from naics_graph.config import load_config
    from naics_graph.pipeline import TrainConfig

    return load_config(TrainConfig, None, SHORT)

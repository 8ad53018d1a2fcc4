"""One handle on one database: the library's verbs, which the commands only parse and print.

    with naics_graph.connect("naics.lbug") as handle:
        handle.load(vintage="2022")
        handle.train()
        for hit in handle.search("mobile dog grooming").results:
            print(hit.code, hit.title, hit.distance)

A handle holds no global state: two handles never share a connection or a model. The database is
opened at the first verb that needs it, for reading unless the verb writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from naics_graph.store.contract import EmbeddingSetInfo, LoadReport, Progress
from naics_graph.taxonomy.model import Texts, level_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from naics_graph.distributed import World
    from naics_graph.evaluate.report import EvaluationReport
    from naics_graph.pipeline import TrainConfig, TrainReport
    from naics_graph.search.results import SearchResult, SimilarResult
    from naics_graph.search.search import Searcher
    from naics_graph.store.contract import GraphStore


@dataclass(frozen=True, slots=True)
class Info:
    """What a database holds: vintages (oldest first), counts by label and relation, migrations,
    embedding sets (newest first).
    """

    database: str
    vintages: tuple[str, ...]
    counts: Mapping[str, int]
    migrations: tuple[str, ...]
    embedding_sets: tuple[EmbeddingSetInfo, ...]


class Handle:
    """The verbs of `naics-graph` on one database.

    Args:
        database: a file (the embedded database) or a `neo4j://` / `bolt://` URI.
    """

    def __init__(self, database: str) -> None:
        self.database = database
        self._store: GraphStore | None = None
        self._writable = False
        self._searcher: Searcher | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection and the file lock. Idempotent; the next verb opens again."""
        store, self._store, self._searcher = self._store, None, None
        if store is not None:
            store.close()

    @property
    def store(self) -> GraphStore:
        """The open store; opened for reading when nothing is open yet.

        Raises:
            DatabaseError: the database is absent, locked, or refuses us.
        """
        if self._store is None:
            self._open(read_only=True)
        assert self._store is not None
        return self._store

    @property
    def writable_store(self) -> GraphStore:
        """The store opened for writing (a store opened for reading is closed and opened again).

        Raises:
            DatabaseError: the database is locked by another writer, or refuses us.
        """
        if self._store is None or not self._writable:
            self.close()
            self._open(read_only=False)
        assert self._store is not None
        return self._store

    def _open(self, *, read_only: bool) -> None:
        from naics_graph.store.open import open_store

        self._store = open_store(self.database, read_only=read_only)
        self._writable = not read_only

    @property
    def searcher(self) -> Searcher:
        """The question answerer over `store`; it keeps the model of the last question."""
        store = self.store
        if self._searcher is None:
            from naics_graph import settings
            from naics_graph.search.search import Searcher

            self._searcher = Searcher(store, settings.runs_dir())
        return self._searcher

    def load(
        self,
        *,
        source: Path | None = None,
        vintage: str = "2022",
        roles: Path | None = None,
        texts: Texts | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> LoadReport:
        """Bring the database to hold one vintage, all or nothing.

        Args:
            source: a folder of official workbooks; None reads the bundled edition.
            vintage: the edition to read.
            roles: a split of the index entries; validation entries are then for `evaluate` alone.
            texts: with workbooks, whose texts are loaded: `census`, `companion` or `both` (None).
            dry_run: report what would change and write nothing.
            progress: called as (what, done, total).

        Raises:
            DataError: the workbooks or the roles cannot be used; the database is untouched.
            UsageError: `roles` or `texts` without the workbooks they need.
            DatabaseError: the database is locked or refuses us.
        """
        from naics_graph.taxonomy.sources import read_taxonomy

        taxonomy = read_taxonomy(source, vintage, roles, texts)
        return self.writable_store.load(taxonomy, dry_run=dry_run, progress=progress)

    def info(self) -> Info:
        """What the database holds."""
        store = self.store
        return Info(
            database=store.location,
            vintages=tuple(store.vintages()),
            counts=store.counts(),
            migrations=tuple(store.migrations()),
            embedding_sets=tuple(store.embedding_sets()),
        )

    def activate_set(self, set_id: str) -> None:
        """Make a stored embedding set the one that answers, in one transaction.

        Raises:
            DatabaseError: no such set.
        """
        self.writable_store.activate_set(set_id)

    def delete_set(self, set_id: str) -> None:
        """Delete a stored embedding set that is not active.

        Raises:
            DatabaseError: no such set, or it is the active one.
        """
        self.writable_store.delete_set(set_id)

    def train(
        self,
        config: TrainConfig | None = None,
        *,
        vintage: str | None = None,
        run: str | None = None,
        resume: bool = False,
        progress: Progress | None = None,
        world: World | None = None,
    ) -> TrainReport:
        """Train the four stages on a loaded vintage and publish the result as the active set.

        Args:
            config: the run's settings; with `resume` the run's own are used.
            vintage: the edition to train on; None is the newest loaded, of a resumed run its own.
            run: name of the run and of the embedding set; None makes one from vintage and time.
            resume: continue the run `run` from its last checkpoint.
            progress: called as (what, done, total).
            world: the processes that train together, from `naics_graph.distributed.start`; each
                calls this, and the first alone opens the database.

        Raises:
            DatabaseError: nothing is loaded, or the set cannot be published.
            ArtifactMismatchError: the run to resume was started on other data, or cannot be read.
            OutOfMemoryError: the memory was not enough.
        """
        from naics_graph import pipeline

        return pipeline.train(
            self.writable_store if world is None or world.is_main else None,
            config,
            vintage=vintage,
            run=run,
            resume=resume,
            progress=progress,
            world=world,
        )

    def search(
        self,
        text: str,
        *,
        level: int | None = 6,
        within: str | None = None,
        limit: int = 10,
        vintage: str | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """The codes nearest a text, best first.

        Args:
            text: what a business does, in words.
            level: number of digits of the answers, 2-6; None answers with codes of every level.
            within: keep the codes below (and including) this code, e.g. "44-45".
            limit: at most so many answers, 1 or more.
            vintage: the edition to answer from; None is the newest loaded.
            exact: scan every code instead of asking the vector index.

        Raises:
            UsageError: an empty text, a level or limit out of range, or an unknown code.
            DatabaseError: nothing is loaded, or no embedding set is active.
            ArtifactMismatchError: the model of the active set is not on this machine.
        """
        from naics_graph.search.search import Scope

        scope = Scope(level=level, within=within, limit=limit, exact=exact)
        return self.searcher.search(text, scope=scope, vintage=vintage)

    def similar(
        self,
        code: str,
        *,
        level: int | Literal["same"] | None = "same",
        within: str | None = None,
        limit: int = 10,
        vintage: str | None = None,
        exact: bool = False,
    ) -> SimilarResult:
        """The codes nearest a code's stored point, best first, the code itself left out.

        Args:
            code: a code of the vintage.
            level: number of digits of the answers, 2-6; "same" is the code's own level. With None
                codes of every level answer, the code's ancestors and single-child twins included.
            within: keep the codes below (and including) this code.
            limit: at most so many answers, 1 or more.
            vintage: the edition to answer from; None is the newest loaded.
            exact: scan every code instead of asking the vector index.

        Raises:
            UsageError: an unknown code, or a level or limit out of range.
            DatabaseError: nothing is loaded, or no embedding set is active.
        """
        from naics_graph.search.search import Scope

        wanted = level_of(code) if level == "same" else level
        scope = Scope(level=wanted, within=within, limit=limit, exact=exact)
        return self.searcher.similar(code, scope=scope, vintage=vintage)

    def encode(self, texts: Sequence[str], *, vintage: str | None = None) -> NDArray[np.float64]:
        """Texts as Lorentz points of the active set's space.

        Returns:
            (n, d+1) float64, time first, on the sheet of the set's curvature.

        Raises:
            UsageError: an empty text.
            ArtifactMismatchError: the model of the active set is not on this machine.
        """
        return self.searcher.encode(texts, vintage=vintage)

    def evaluate(
        self,
        *,
        vintage: str | None = None,
        queries: Path | None = None,
        baselines: bool = True,
        progress: Progress | None = None,
    ) -> EvaluationReport:
        """Score every stage, and what the database answers, beside the baselines.

        Args:
            vintage: the edition to evaluate; None is the newest loaded.
            queries: a labelled table with the columns text and code (CSV or Parquet); None takes
                the entries of the validation role.
            baselines: whether to fit and score the baselines (minutes the first time).
            progress: called as (what, done, total).

        Raises:
            DatabaseError: nothing is loaded.
            DataError: the labelled table cannot be used, or the load has no validation role.
            ArtifactMismatchError: the model of the active set is not on this machine.
        """
        from naics_graph.evaluate import report

        return report.evaluate(
            self.store, vintage=vintage, queries=queries, baselines=baselines, progress=progress
        )


def connect(database: str | None = None) -> Handle:
    """A handle on a database; nothing is opened yet.

    Args:
        database: a file or URI; None is NEO4J_URI, else a file in the user's data folder.
    """
    from naics_graph import settings

    return Handle(settings.database(database))

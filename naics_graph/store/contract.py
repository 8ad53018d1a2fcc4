"""What a graph database must do for this project, whichever it is.

Two implementations pass one law suite (`tests/store`): Neo4j and the embedded ladybug. The public
methods here validate; the hooks with a leading underscore store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from naics_graph.taxonomy.model import Taxonomy

Progress = Callable[[str, int, int], None]
"""Called as (what, done, total) while a long operation runs."""


@runtime_checkable
class DetailedProgress(Protocol):
    """A `Progress` that can also show figures, such as the parts of a loss."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """As `Progress`."""

    def detail(self, what: str, values: Mapping[str, float]) -> None:
        """Show figures beside the operation `what`."""


def show_detail(progress: Progress | None, what: str, values: Mapping[str, float]) -> None:
    """Show figures where the progress has a place for them."""
    if isinstance(progress, DetailedProgress):
        progress.detail(what, values)


Row = dict[str, Any]
Relation = tuple[str, str, str]
"""(source node type, relation, target node type), as PyTorch Geometric names edge types."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did, or with `dry_run` would do. Counts: nodes and relationships together."""

    database: str
    vintage: str
    codes: int
    index_entries: Mapping[str, int]
    left_out: Mapping[str, int]
    exclusions: int
    created: int
    updated: int
    unchanged: int
    missing: int
    seconds: float
    dry_run: bool = False
    missing_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddingRows:
    """The vectors of one embedding set; row i belongs to `codes[i]`. All float64.

    embedding: (n, d+1) Lorentz points, time first. radius: (n,) geodesic distance from the origin.
    poincare: (n, 2) a picture in the unit disk. knn: (n, KNN_WIDTH) index vectors, zero-padded.
    moved: (n,) how far stage 4 moves the code from where stage 3 placed it, accepted or not:
    geodesic, 0 where it stays.
    """

    codes: Sequence[str]
    embedding: NDArray[np.float64]
    radius: NDArray[np.float64]
    poincare: NDArray[np.float64]
    knn: NDArray[np.float64]
    moved: NDArray[np.float64]


SetStatus = Literal["active", "inactive"]


@dataclass(frozen=True, slots=True)
class EmbeddingSetInfo:
    """One published set. `curvature` is the c of DESIGN section 4 (the space has curvature -c)."""

    id: str
    vintage: str
    created: str
    dims: int
    curvature: float
    model_sha256: str
    data_sha256: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    status: SetStatus = "inactive"


@dataclass(frozen=True, slots=True)
class NearestRequest:
    """A question for the codes nearest a Lorentz point within the active set of a vintage.

    point: (d+1,) time first. knn_query: (KNN_WIDTH,) its index query vector. `level` keeps one
    level, `within` the codes below (and including) one code, `exclude` drops one code. `exact`
    scans instead of asking the index.
    """

    vintage: str
    point: NDArray[np.float64]
    knn_query: NDArray[np.float64]
    limit: int = 10
    level: int | None = 6
    within: str | None = None
    exclude: str | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One candidate answer: code, stored point, the set it came from, path from the sector."""

    code: str
    title: str
    level: int
    embedding: NDArray[np.float64]
    embedding_set: str
    path: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GraphNodes:
    """The nodes of one vintage for a graph network, numbered from 0 within their type.

    codes and entries are in key order; validation entries are never among them. code_place: (n,)
    and entry_place: (m,) int64, the `position` each node has in the database: distinct within a
    type, and all that a query can compute with. `version` changes whenever the loaded graph does.
    """

    vintage: str
    version: str
    codes: tuple[str, ...]
    entries: tuple[str, ...]
    code_place: NDArray[np.int64]
    entry_place: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse places that are not of these nodes."""
        lengths = (len(self.code_place), len(self.entry_place))
        if lengths != (len(self.codes), len(self.entries)):
            raise ValueError(
                f"{len(self.codes)} codes and {len(self.entries)} entries with {lengths} places"
            )


@dataclass(frozen=True, slots=True)
class GraphExport(GraphNodes):
    """The topology of one vintage: its nodes and their typed edges.

    `edges` maps ("industry", "has_child", "industry"), ("industry", "excludes", "industry") and
    ("entry", "classified_as", "industry") to int64 arrays (2, e) of node numbers.
    """

    edges: Mapping[Relation, NDArray[np.int64]]


class GraphStore(ABC):
    """A database that holds the taxonomy, its texts and its embedding sets."""

    dialect: str
    """Folder of `cypher/` whose queries take precedence over `cypher/common`."""

    @property
    @abstractmethod
    def location(self) -> str:
        """The file or URI, without a password, as shown to users."""

    @abstractmethod
    def migrate(self) -> list[str]:
        """Apply the migrations this database lacks; return their names. Idempotent.

        Raises:
            DatabaseError: the database holds a migration this program does not know.
        """

    @abstractmethod
    def migrations(self) -> list[str]:
        """Names of the migrations recorded in this database, in order."""

    @abstractmethod
    def load(
        self, taxonomy: Taxonomy, *, dry_run: bool = False, progress: Progress | None = None
    ) -> LoadReport:
        """Bring the database to hold `taxonomy`, all or nothing; report codes that vanished."""

    @abstractmethod
    def vintages(self) -> list[str]:
        """Loaded vintages, oldest first."""

    @abstractmethod
    def taxonomy(self, vintage: str | None = None) -> Taxonomy:
        """Read a vintage back (default the newest), equal to what was loaded.

        Raises:
            DatabaseError: nothing, or not this vintage, is loaded.
        """

    @abstractmethod
    def export_graph(self, vintage: str) -> GraphExport:
        """The topology of a vintage, validation entries left out."""

    @abstractmethod
    def graph_nodes(self, vintage: str) -> GraphNodes:
        """The nodes of `export_graph` without its edges, for a graph whose edges do not fit."""

    @abstractmethod
    def graph_edges(self, nodes: GraphNodes, relation: Relation) -> NDArray[np.int64]:
        """(2, e) edges of one relation of `export_graph` between these nodes."""

    @abstractmethod
    def graph_version(self, vintage: str) -> str:
        """A value that changes whenever the loaded vintage does."""

    @abstractmethod
    def publish(
        self, info: EmbeddingSetInfo, rows: EmbeddingRows, *, activate: bool = True
    ) -> None:
        """Store a set and, with `activate`, flip to it, in one transaction.

        Raises:
            DatabaseError: a set of this id exists, or codes of the rows are not loaded.
        """

    @abstractmethod
    def embedding_sets(self) -> list[EmbeddingSetInfo]:
        """All sets, newest first."""

    @abstractmethod
    def activate_set(self, set_id: str) -> None:
        """Copy a stored set onto the node properties and flip the statuses, in one transaction."""

    @abstractmethod
    def delete_set(self, set_id: str) -> None:
        """Delete a set that is not active.

        Raises:
            DatabaseError: no such set, or it is the active one.
        """

    @abstractmethod
    def read_set(self, set_id: str) -> tuple[list[str], NDArray[np.float64]]:
        """Codes and (n, d+1) points of a stored set, in code order."""

    @abstractmethod
    def nearest(self, request: NearestRequest) -> list[Neighbour]:
        """Candidates for the nearest codes, over-fetched where an index is approximate.

        One Cypher query, ordered by the Lorentz inner product in float64; all rows of one set.

        Raises:
            DatabaseError: no embedding set is active for the vintage.
        """

    @abstractmethod
    def run(self, query: str, **parameters: Any) -> list[Row]:
        """Run a named read query of `cypher/` with parameters; rows as dictionaries."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Numbers of nodes by label and relationships by type."""

    @abstractmethod
    def close(self) -> None:
        """Release connections and locks. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

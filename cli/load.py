"""`naics-graph load`: the taxonomy into the database."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from naics_graph.errors import UsageError
from naics_graph.taxonomy.bundled.edition import NEWEST
from naics_graph.taxonomy.model import TEXTS, Texts

from .common import DatabaseOption, JsonOption, QuietOption, note, print_json, print_table, progress

if TYPE_CHECKING:
    from naics_graph.store.contract import LoadReport

FETCHED = "census"
"""As `--source`: what `naics-graph fetch` brought."""


def load(
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="DIR|census",
            help="A folder with the four workbooks of the vintage, or the word `census` for those "
            "that `naics-graph fetch` brought. Default: the edition in the package, even after a "
            "fetch.",
            show_default=False,
        ),
    ] = None,
    vintage: Annotated[
        str, typer.Option("--vintage", metavar="YEAR", help="The vintage.")
    ] = NEWEST,
    roles: Annotated[
        Path | None,
        typer.Option(
            "--roles",
            metavar="FILE",
            help="A split of the index entries (CSV: entry_id, code, role). Default: every entry "
            "is loaded and usable.",
            show_default=False,
        ),
    ] = None,
    texts: Annotated[
        str | None,
        typer.Option(
            "--texts",
            metavar="|".join(TEXTS),
            help="With --source, whose texts: the Bureau's, those of the companion edition in the "
            "package (from the workbooks then the validation entries of --roles alone), or both "
            "(default): the Bureau's as channels, companion descriptions and phrases as entries.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would change; write nothing.")
    ] = False,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Load a vintage: the tree, its texts, index entries and exclusions.

    Loading again changes only what differs. A code that vanished is reported, never deleted.
    """
    from naics_graph import connect

    folder = _folder(source, vintage)
    with connect(database) as handle, progress(quiet=quiet) as report_progress:
        report = handle.load(
            source=folder,
            vintage=vintage,
            roles=roles,
            texts=_texts(texts),
            dry_run=dry_run,
            progress=report_progress,
        )
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        _print(report, quiet=quiet)


def _texts(texts: str | None) -> Texts | None:
    for known in TEXTS:
        if texts == known:
            return known
    if texts is not None:
        raise UsageError(
            f"{texts!r} are no texts", where="--texts", do=f"choose one of {', '.join(TEXTS)}"
        )
    return None


def _folder(source: str | None, vintage: str) -> Path | None:
    if source is None:
        return None
    if source == FETCHED:
        from naics_graph.taxonomy.fetch import fetched_folder

        return fetched_folder(vintage)
    return Path(source).expanduser()


def _print(report: LoadReport, *, quiet: bool) -> None:
    rows: list[tuple[str, object]] = [("codes", report.codes)]
    rows += [(f"index entries, {name}", n) for name, n in report.index_entries.items()]
    rows.append(("exclusions", report.exclusions))
    rows += [(f"left out, {name}", n) for name, n in report.left_out.items()]
    rows += [
        ("created", report.created),
        ("updated", report.updated),
        ("unchanged", report.unchanged),
        ("missing", report.missing),
    ]
    verb = "would load" if report.dry_run else "loaded"
    print_table(["", "count"], rows, title=f"NAICS {report.vintage} {verb}: {report.database}")
    if report.missing_keys:
        note(
            "In the database but not in the source, kept as they are: "
            + ", ".join(report.missing_keys),
            quiet=quiet,
        )

"""The rules that turn the cells of the official workbooks into texts.

A cell that holds no text of its own (a pointer, the word NULL) becomes empty, never a placeholder.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Final

SEE_ROW: Final = "******"
"""Code of the last rows of an index sheet, which send the reader elsewhere and name no industry."""

# "Crop ProductionT": the mark of a code that three countries share. No title of its own ends so.
_TRILATERAL: Final = re.compile(r"(?<=[a-z)])T$")
_LINE_END: Final = re.compile(r"_x000D_\n?|\r\n?|\u2028")
_POINTER: Final = re.compile(r"See (?:\w+ )*description for (\d{2,6})\.?", re.IGNORECASE)
_EMPTY: Final = "null"
_WHOLE_SECTOR: Final = re.compile(r"\AThe Sector as a Whole\n", re.IGNORECASE)
_EXAMPLES: Final = re.compile(r"^[ \t]*Illustrative Examples?[ \t]*:", re.IGNORECASE | re.MULTILINE)
_REFERENCES: Final = re.compile(
    r"^[ \t]*Cross[- ]?References?[ \t]*[.:]", re.IGNORECASE | re.MULTILINE
)
_HTML_ITEM: Final = re.compile(r"</?(?:dt|dd|dl|li|ul|tr|table|p)\b[^>]*>", re.IGNORECASE)
_HTML_TAG: Final = re.compile(r"</?[a-z][a-z0-9]*\b[^>]*>", re.IGNORECASE)
_BLANK_LINES: Final = re.compile(r"\n{2,}")


@dataclass(frozen=True, slots=True)
class DescriptionParts:
    """What one description cell holds: its text, its illustrative examples, or a pointer."""

    text: str = ""
    examples: tuple[str, ...] = ()
    described_by: str | None = None


def one_line(text: str) -> str:
    """Every run of white space (no-break spaces, tabs, line ends) one space, none at the ends."""
    return " ".join(_LINE_END.sub(" ", text).split())


def clean_title(cell: str) -> str:
    """A title without its trailing `T` mark and spaces."""
    return _TRILATERAL.sub("", one_line(cell)).rstrip()


def split_description(cell: str) -> DescriptionParts:
    """Take a description cell apart.

    The "Cross-References." section is dropped: the workbook of cross-references holds it whole. So
    is the heading "The Sector as a Whole". Paragraphs are divided by an empty line, the items of an
    HTML table are lines of their own.
    """
    raw = _LINE_END.sub("\n", cell).strip()
    if raw.lower() == _EMPTY:
        return DescriptionParts()
    pointer = _POINTER.fullmatch(raw)
    if pointer is not None:
        return DescriptionParts(described_by=pointer[1])
    own = _REFERENCES.split(raw, maxsplit=1)[0]
    text, *examples = _EXAMPLES.split(own, maxsplit=1)
    return DescriptionParts(_clean_text(text), _example_lines(examples[0] if examples else ""))


def _clean_text(text: str) -> str:
    lines = _strip_html(_WHOLE_SECTOR.sub("", text)).split("\n")
    return _BLANK_LINES.sub("\n\n", "\n".join(one_line(line) for line in lines)).strip()


def _strip_html(text: str) -> str:
    return html.unescape(_HTML_TAG.sub(" ", _HTML_ITEM.sub("\n", text)))


def _example_lines(section: str) -> tuple[str, ...]:
    """One string per example, each once; a line end inside parentheses is no end."""
    examples: dict[str, None] = {}
    pending = ""
    for line in _strip_html(section).split("\n"):
        pending = one_line(f"{pending} {line}")
        if pending and pending.count("(") <= pending.count(")"):
            examples[pending] = None
            pending = ""
    if pending:
        examples[pending] = None
    return tuple(examples)

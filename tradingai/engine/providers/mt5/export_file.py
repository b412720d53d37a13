"""Which kind of MetaTrader 5 export a file is, and its lines some megabytes at a time.

MetaTrader writes tabs, CRLF and UTF-8 for ticks and bars, and UTF-16LE with a byte order mark for reports;
spreadsheets that saved such a file again write commas or semicolons and quotes.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from tradingai.engine.core.errors import DataError, UsageError

ExportKind = Literal["ticks", "bars", "deals"]
KINDS: Final[tuple[ExportKind, ...]] = ("ticks", "bars", "deals")
CHUNK_BYTES: Final = 8_388_608
_HEAD_BYTES: Final = 65_536
_LONGEST_LINE: Final = 1_048_576
_LONGEST_REPORT: Final = 200_000_000
_NEWLINE: Final = b"\n"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SEPARATORS: Final = "\t;,"
_SECTIONS: Final = ("Positions", "Orders", "Deals")
_LANGUAGE: Final = (
    "Set the terminal to English (View > Languages, then restart it) and export the report again."
)
_WHAT: Final = (
    "Give a tick or bar export (View > Symbols > Ticks or Bars > Export) or a history report (HTML, or CSV)."
)


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A recognised export."""

    path: Path
    kind: ExportKind
    encoding: str
    mark: int
    """Bytes of the byte order mark."""
    separator: str = ""
    """Between cells; empty for HTML."""
    columns: tuple[str, ...] = ()
    """Of ticks and bars, in capitals without the angle brackets."""


class Lines(NamedTuple):
    """Whole lines of a file as UTF-8."""

    text: bytes
    first_line: int
    """Number of the first of them in the file, from 1."""
    read_bytes: int
    """Of the file so far."""


def recognise(path: Path, wanted: str = "auto") -> ExportFile:
    """What ``path`` is. ``wanted`` other than ``auto`` has to be it.

    Raises UsageError for a missing file, DataError for anything that is no MetaTrader 5 export.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}", remedy="Check the path.")
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except PermissionError as error:
        raise DataError(f"{path} may not be read by this user", remedy="Change its permissions.") from error
    found = _recognised(path, head)
    if wanted not in {"auto", found.kind}:
        raise UsageError(
            f"{path} holds {found.kind}, not {wanted}",
            remedy=f"Leave --kind out, or give --kind {found.kind}.",
        )
    return found


def _recognised(path: Path, head: bytes) -> ExportFile:
    if not head.strip():
        raise DataError(f"{path} is empty", remedy="Export it again.")
    if head.startswith(b"PK\x03\x04"):
        raise DataError(
            f"{path} is a spreadsheet (XLSX)",
            remedy="Choose HTML instead of Open XML in MetaTrader, or save the spreadsheet as CSV.",
        )
    encoding, mark = _encoding(head)
    text = _decoded(path, head[mark:], encoding)
    start = text.lstrip().lower()
    if start.startswith(("<!doctype", "<html", "<?xml")):
        return ExportFile(path, "deals", encoding, mark)
    line = text.lstrip("\r\n").splitlines()[0]
    separator = max(_SEPARATORS, key=line.count)
    columns = tuple(cell.strip().strip('"').strip("<>").upper() for cell in line.split(separator))
    if "DATE" in columns:
        return ExportFile(path, _kind_of(path, columns), encoding, mark, separator, columns)
    return _csv_report(path, text, encoding, mark)


def _kind_of(path: Path, columns: tuple[str, ...]) -> ExportKind:
    if {"BID", "ASK"} <= set(columns):
        kind: ExportKind = "ticks"
    elif {"CLOSE", "SPREAD"} <= set(columns):
        kind = "bars"
    else:
        raise DataError(
            f"{path}: columns {', '.join(columns)} are neither those of ticks (BID, ASK) nor of bars "
            "(CLOSE, SPREAD)",
            remedy=_WHAT,
        )
    if "TIME" not in columns:
        raise DataError(
            f"{path} has no column TIME: daily and longer bars belong to no session",
            remedy="Export bars of an hour or less, or ticks.",
        )
    return kind


def _csv_report(path: Path, text: str, encoding: str, mark: int) -> ExportFile:
    lines = text.splitlines()
    separator = max(_SEPARATORS, key=text.count)
    for line in lines:
        cells = [cell.strip().strip('"') for cell in line.split(separator)]
        if cells[0] in _SECTIONS and not any(cells[1:]):
            return ExportFile(path, "deals", encoding, mark, separator)
    refuse_language(path, text)
    raise DataError(f"{path} is no export of MetaTrader 5: it begins with {lines[0][:60]!r}", remedy=_WHAT)


def refuse_language(path: Path, text: str) -> None:
    """Raise DataError for a report in Cyrillic letters: its labels are those of another language."""
    word = next((word for word in text.split() if any("\u0400" <= letter <= "\u04ff" for letter in word)), "")
    if word:
        raise DataError(
            f"{path} is in another language than English: it says {word.strip('<>:/').split('<')[0][:30]!r}",
            remedy=_LANGUAGE,
        )


def _encoding(head: bytes) -> tuple[str, int]:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    pairs = head[: len(head) // 2 * 2]
    if pairs[1::2].count(0) > len(pairs) // 4 and not pairs[::2].count(0):
        return "utf-16-le", 0
    return "utf-8", 0


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in {encoding.upper()}", remedy=_WHAT) from error
    if any(ord(letter) < 32 and letter not in "\t\r\n\f" for letter in text) or not text.strip():
        raise DataError(f"{path} is a binary file", remedy=_WHAT)
    return text


def whole_text(export: ExportFile) -> tuple[str, str]:
    """All of a report and the SHA-256 of the file. Raises DataError for no text, and for too much of it."""
    size = export.path.stat().st_size
    if size > _LONGEST_REPORT:
        raise DataError(
            f"{export.path} has {size / 1e6:,.0f} MB, a report at most {_LONGEST_REPORT / 1e6:,.0f}",
            remedy="Export the report of a shorter time.",
        )
    data = export.path.read_bytes()
    return _decoded(export.path, data[export.mark :], export.encoding), hashlib.sha256(data).hexdigest()


class LineReader:
    """Lines of a file in pieces of CHUNK_BYTES; the header is left out."""

    def __init__(self, export: ExportFile) -> None:
        self._export = export
        self._hasher = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was read so far: of the file once every piece was taken."""
        return self._hasher.hexdigest()

    def __iter__(self) -> Iterator[Lines]:
        number, rest, read = 1, b"", 0
        decoder = codecs.getincrementaldecoder(self._export.encoding)()
        with self._export.path.open("rb") as stream:
            self._hasher.update(stream.read(self._export.mark))
            while piece := stream.read(CHUNK_BYTES):
                self._hasher.update(piece)
                read += len(piece)
                text = rest + self._utf8(piece, decoder)
                end = text.rfind(b"\n") + 1
                rest = text[end:]
                if len(rest) > _LONGEST_LINE:
                    raise DataError(
                        f"{self._export.path} line {number + text.count(_NEWLINE, 0, end)} has no end within "
                        f"{_LONGEST_LINE:,} bytes",
                        remedy=_WHAT,
                    )
                if end:
                    yield from self._without_header(Lines(text[:end], number, read))
                    number += text.count(b"\n", 0, end)
        rest += self._utf8(b"", decoder)
        if rest.strip():
            yield from self._without_header(Lines(rest, number, read))

    def _utf8(self, piece: bytes, decoder: codecs.IncrementalDecoder) -> bytes:
        if self._export.encoding == "utf-8":
            return piece
        try:
            return decoder.decode(piece, final=not piece).encode()
        except (UnicodeDecodeError, UnicodeEncodeError) as error:
            raise DataError(
                f"{self._export.path} is no text in {self._export.encoding.upper()}",
                remedy="Export it again.",
            ) from error

    @staticmethod
    def _without_header(lines: Lines) -> Iterator[Lines]:
        if lines.first_line > 1:
            yield lines
            return
        end = lines.text.find(b"\n", len(lines.text) - len(lines.text.lstrip(b"\r\n"))) + 1
        if end and lines.text[end:]:
            yield Lines(lines.text[end:], 1 + lines.text.count(b"\n", 0, end), lines.read_bytes)

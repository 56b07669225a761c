"""Details of candidates: their cards, rows, cells and CIFs, of as many of the best as a page has room for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment
from jinja2.utils import htmlsafe_json_dumps

from gflownet_crystal.report.card_values import Card


@dataclass(frozen=True)
class Details:
    """Details of a candidate as they stand in the page.

    Attributes:
        card: values of the card.
        html: card in HTML, data escaped, as a template takes it.
        row: row of the table, the same.
        cells: cells that the page's scripts draw, as generated and as relaxed, None for none.
    """

    card: Card
    html: str
    row: str
    cells: Mapping[str, object]

    @property
    def n_bytes(self) -> int:
        """Bytes that they take in a page at most."""
        # entries of an archive are independent, and base64 makes four bytes of three
        archive = 4 * len(all_cifs([self.card])) // 3
        return len((self.html + self.row).encode()) + len(htmlsafe_json_dumps(self.cells)) + archive


def details_within(
    room: int, cards: Sequence[Card], values: Mapping[str, object], environment: Environment
) -> list[Details]:
    """Details of the best candidates, as many as fit.

    Args:
        room: bytes that they may take.
        cards: cards of the candidates, the best first.
        values: values of the page that do not depend on the number of details.
        environment: templates of the page.
    """
    pieces = environment.get_template("macros.html").module
    found: list[Details] = []
    for index, card in enumerate(cards):
        html, row = pieces.card(card, index, values), pieces.row(card, values)  # type: ignore[attr-defined]
        one = Details(card, html, row, _cells(card))
        room -= one.n_bytes
        if room < 0:
            break
        found.append(one)
    return found


def _cells(card: Card) -> dict[str, object]:
    return {
        kind: None if model is None else model.cell.drawing()
        for kind, model in (("placed", card.placed), ("relaxed", card.relaxed))
    }


def all_cifs(cards: Sequence[Card]) -> bytes:
    """A ZIP file of all CIFs, relaxed ones in a folder of their own."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for card in cards:
            for kind, model in (("placed", card.placed), ("relaxed", card.relaxed)):
                if model is not None:
                    # a fixed date: the same candidates make the same file
                    folder = "relaxed" if card.is_relaxed else kind
                    entry = zipfile.ZipInfo(f"{folder}/{model.file}", (2000, 1, 1, 0, 0, 0))
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(entry, model.cell.cif)
    return buffer.getvalue()

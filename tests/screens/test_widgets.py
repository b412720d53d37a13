"""The parts pages are made of, against values worked out by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from rich.color import Color, ColorSystem
from tradingai.widgets import numbers
from tradingai.widgets.bars import gate_bar, progress, threshold_bar
from tradingai.widgets.candlesticks import paint_candles, paint_reliability
from tradingai.widgets.footer import COMMON_KEYS, Key, footer_line, help_lines
from tradingai.widgets.line import Line, Span, crop, fit, line, spread, wrap
from tradingai.widgets.lineview import changed_cells
from tradingai.widgets.palette import DARK, LIGHT
from tradingai.widgets.plot import LinePlot, Picture, Series, paint_lines, reduce_points, scale
from tradingai.widgets.section import Column, Row, Table, draw, rule, window
from tradingai.widgets.signs import glyphs_for, render_glyphs
from tradingai.widgets.spark import sparkline


def text(spans) -> str:
    return "".join(span.text for span in spans)


# -- palette


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1."""
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=["dark", "light"])
def test_contrast_of_text_and_signs(palette):
    for ground in ("bg", "surface", "raised"):
        for token in ("text", "strong", "blue", "orange", "muted"):
            assert contrast(palette[token], palette[ground]) >= 4.5, (token, ground)
    assert contrast(palette["faint"], palette["bg"]) >= 4.5
    for ground in ("surface", "raised"):
        assert contrast(palette["faint"], palette[ground]) >= 3.0
    for chip in ("orange", "blue"):
        assert contrast(palette["bg"], palette[chip]) >= 4.5


CODES = {
    "dark": (DARK, "233 234 236 238 244 247 252 231 75 215 24 94"),
    "light": (LIGHT, "231 254 253 251 242 240 235 16 25 130 68 173"),
}


@pytest.mark.parametrize("name", CODES)
def test_colours_on_a_terminal_with_256(name):
    palette, codes = CODES[name]
    tokens = ("bg", "surface", "raised", "rule", "faint", "muted", "text", "strong", "blue", "orange",
              "blue-dim", "orange-dim")  # fmt: skip
    for token, code in zip(tokens, codes.split(), strict=True):
        assert Color.parse(palette[token]).downgrade(ColorSystem.EIGHT_BIT).number == int(code), token


# -- numbers


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (numbers.count(3_081_668), "3,081,668"),
        (numbers.count(None), "–"),
        (numbers.decimal(-0.42, 4), "−0.4200"),
        (numbers.decimal(-0.00001, 2), "0.00"),
        (numbers.percent(0.7154), "71.5 %"),
        (numbers.percent(math.nan), "–"),
        (numbers.share(0.7154), "71.5 %"),
        (numbers.share(0.9996), "99.96 %"),
        (numbers.share(0.0004), "0.04 %"),
        (numbers.share(1.0), "100.0 %"),
        (numbers.share(0.0), "0.0 %"),
        (numbers.share(None), "–"),
        (numbers.points(-0.032), "−3.2 pt"),
        (numbers.points(0.1), "+10.0 pt"),
        (numbers.short(204_180, "bars/s"), "204 k bars/s"),
        (numbers.short(9_245_004), "9.2 M"),
        (numbers.short(512, "rows/s"), "512 rows/s"),
        (numbers.size(148_000_000), "148 MB"),
        (numbers.size(1_900_000_000), "1.9 GB"),
        (numbers.stopwatch(44.2), "0:44"),
        (numbers.stopwatch(3725), "1:02:05"),
        (numbers.took(11.84), "11.8 s"),
        (numbers.took(842), "14m 02s"),
        (numbers.took(59.96), "1m 00s"),
        (numbers.age(312), "312s"),
        (numbers.age(1800), "30m"),
        (numbers.age(90_000), "25h"),
        (numbers.uptime(194_640), "54:04 h"),
        (numbers.hash_groups("9f3c71ab2e08", 3), "9f3c 71ab 2e08"),
        (numbers.plural(1, "coin"), "1 coin"),
        (numbers.plural(14, "entry", "entries"), "14 entries"),
        (numbers.day_time(datetime(2025, 11, 12, 6, 0, tzinfo=UTC)), "Wed 06:00Z"),
    ],
)
def test_numbers(made: str, wanted: str):
    assert made == wanted


# -- lines


def test_crop_marks_the_cut_and_keeps_the_width():
    cut = crop((Span("abcdef", "text"), Span("ghi", "blue")), 5)
    assert text(cut) == "abcd…"
    assert text(crop((Span("abc"),), 3)) == "abc"


def test_fit_is_exactly_as_wide_as_asked():
    for width in range(8):
        assert sum(span.width for span in fit("abcde", width)) == width
    assert text(fit("7", 3, "right")) == "  7"


def test_spread_gives_the_left_the_room_it_needs():
    assert spread(line("left"), line("right"), 12).text == "left   right"
    assert spread(line("a long sentence"), line("right"), 18).text == "a long sentence   "
    assert spread(line("a long sentence"), line("right"), 10).text == "a long se…"


def test_control_characters_cannot_move_the_cursor():
    assert line("a\x1b[2Jb\nc").text == "a·[2Jb·c"


def test_wrap_cuts_words_that_are_too_long():
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("abcdefghij k", 4) == ["abcd", "efgh", "ij k"]


def test_only_changed_cells_are_named():
    before, after = line("heartbeat ", Span("1s")), line("heartbeat ", Span("2s"))
    assert changed_cells(before, after) == (10, 11)
    assert changed_cells(before, before) is None
    assert changed_cells(line("ab"), line("ab ")) is None
    assert changed_cells(line("ab"), line(Span("ab", "blue"))) == (0, 2)


# -- bars and sparklines


def test_progress_in_half_cells():
    assert text(progress(0.58, 18)) == "━━━━━━━━━━╸───────"
    assert text(progress(None, 4)) == "────"
    assert text(progress(1.7, 4)) == "━━━━"
    assert text(progress(0.125, 4)) == "╸───"


def test_right_of_the_mark_is_good():
    passing, failing = text(gate_bar(0.75, 21, passed=True)), text(gate_bar(0.25, 21, passed=False))
    assert passing == "━━━━━━━━━━┃━━━━━─────"
    assert failing == "━━━━━─────┃──────────"
    assert {span.ink for span in gate_bar(0.25, 21, passed=False)} == {"orange", "rule", "strong"}


def test_threshold_mark_keeps_its_place():
    for value in (0.0, 0.3, 0.5, 0.99, 1.0):
        bar = text(threshold_bar(value, 0.5, 18))
        assert len(bar) == 18
        assert bar.index("┃") == 8


def test_sparkline_rises_from_the_bottom_dot_to_the_top():
    assert sparkline([0, 1, 2, 3], 2) == "⡠⠊"
    assert sparkline([], 3) == "   "
    assert sparkline([5, 5, 5, 5], 2) == "⠤⠤"
    assert len(sparkline(list(range(1000)), 15)) == 15


# -- plots


def test_scale_holds_the_data_with_ticks_in_the_middle_of_their_rows():
    for low, high, rows in (
        (0.51, 0.565, 8),
        (41_560, 42_210, 7),
        (0.5, 0.791, 9),
        (1e-5, 3e-5, 20),
        (5, 5, 6),
    ):
        made = scale(low, high, rows)
        assert made.low <= low
        assert made.high >= high
        assert len(made.ticks) >= 2
        per_row = (made.high - made.low) / (4 * rows - 1) * 4
        apart = made.step / per_row
        assert apart == pytest.approx(round(apart))


def test_scale_uses_round_steps():
    made = scale(0.5, 0.8, 9)
    assert made.ticks == (0.5, 0.6, 0.7, 0.8)


def test_reduction_keeps_spikes():
    points = [(float(index), 0.0) for index in range(1000)]
    points[500] = (500.0, 9.0)
    kept = reduce_points(points, 20)
    assert len(kept) <= 40
    assert (500.0, 9.0) in kept


def test_a_gap_splits_the_line():
    picture = Picture(6, 1)
    plot = LinePlot(
        (Series([(0, 1.0), (1, math.nan), (2, 1.0)], "blue"),), ((0.0, ""), (2.0, "")), (0.0, 2.0), (), 0, 2
    )
    picture = paint_lines(plot, 20, 6)
    row = next(
        line.text for line in picture.lines() if any(0x2800 <= ord(char) < 0x2900 for char in line.text)
    )
    dots = [index for index, char in enumerate(row) if 0x2800 <= ord(char) < 0x2900]
    assert dots == [1, 19]


def test_curves_share_cells_instead_of_erasing_each_other():
    picture = Picture(1, 1)
    picture.dot(0, 0, "muted")
    picture.dot(1, 3, "blue")
    assert picture.cells[0][0] == (chr(0x2800 + 0x01 + 0x80), "blue")


def test_candles_stand_in_half_cells():
    bars = [(10.0, 12.0, 8.0, 11.0), (11.0, 12.0, 8.0, 9.0)]
    picture = paint_candles(bars, [], 12, 6)
    up = "".join(row[10][0] for row in picture.cells)
    down = [row[11] for row in picture.cells]
    assert set(up) <= set(" │┃╽╿╻╹╷╵┈")
    assert any(ink == "orange" for _, ink in down)
    solid = paint_candles(bars, [], 12, 6, solid_down=True)
    assert any(char in "█▄▀╽╿" for char, _ in (row[11] for row in solid.cells))


def test_reliability_marks_over_confidence():
    picture = paint_reliability([(0.55, 0.55), (0.95, 0.60)], 30, 10)
    points = {ink for row in picture.cells for char, ink in row if char == "●"}
    assert points == {"blue", "orange"}


# -- sections


def table(count: int) -> Table:
    rows = tuple(Row(str(index), (Span(f"row {index}"),), plain=(str(index),)) for index in range(count))
    return Table("t", "Title", "note", (Column("name"),), rows)


def test_focus_is_weight_and_colour():
    assert rule("Jobs", "1 running", 30).text == "Jobs ─────────────── 1 running"
    assert "━" in rule("Jobs", "", 30, focus=True).text


def test_the_window_follows_the_cursor_no_more_than_needed():
    assert window(100, 0, 10, 0) == 0
    assert window(100, 10, 10, 0) == 1
    assert window(100, 5, 10, 1) == 1
    assert window(100, 99, 10, 1) == 90
    assert window(5, 4, 10, 3) == 0


def test_a_table_shows_the_row_under_the_cursor():
    drawn = draw(table(50), 20, cursor="30", focus=True, rows=8)
    assert any("▸" in line.text and "row 30" in line.text for line in drawn.lines)
    assert drawn.shown == 8


def test_the_footer_leaves_keys_out_rather_than_cutting_them():
    keys = [Key(letter, f"word {letter}", "", letter) for letter in "abcdefgh"]
    made = footer_line(keys, 80, table=table(3))
    assert made.width == 78
    assert made.text.count("word") <= 6
    assert made.text.endswith("? keys  q quit")
    assert "…" not in footer_line(keys, 60, table=table(3)).text


def test_the_help_panel_lists_all_keys():
    keys = [Key("t", "train", "train a model", "train")]
    lines = [line.text for line in help_lines("Training", keys, 40)]
    assert any("train a model" in line for line in lines)
    for key, _ in COMMON_KEYS:
        assert any(line.startswith(key) for line in lines)


# -- characters


def test_which_characters_a_terminal_gets():
    assert glyphs_for("utf-8", "xterm-256color") == "braille"
    assert glyphs_for("UTF8", "linux") == "block"
    assert glyphs_for("ascii", "xterm") == "ascii"
    assert glyphs_for(None, "xterm") == "ascii"
    assert glyphs_for("utf-8", "xterm", "ascii") == "ascii"


def test_every_replacement_is_one_ascii_cell():
    everything = "✓✗●○‖▲▼–▸━─╸┃│╽╿╻╹╷╵█┈╌┊■▪×·−…↵→≥≤±α▌⠿⣀"
    plain = render_glyphs(everything, "ascii")
    assert len(plain) == len(everything)
    assert plain.isascii()
    assert render_glyphs("✓ ✗ ● ○ ‖ ! ▲ ▼ –", "ascii") == "+ x * o = ! ^ v -"
    assert render_glyphs("⣿⠁⡀", "block") == "█▘▖"


def test_lines_are_values():
    assert Line((Span("a"),)) == line("a")

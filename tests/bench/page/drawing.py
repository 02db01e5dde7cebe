"""The pictures of docs/performance/, by matplotlib, which is in a dependency group of its own."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rcParams
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from tests.bench import starts
from tests.bench.kms.case import BUSY, CIPHERS, ONE, Case, Results
from tests.bench.kms.sides import OURS, REFERENCE
from tests.bench.kms.table import cpu, p50, rate
from tests.bench.page import series
from tests.bench.page.written import Picture
from tests.bench.rounds import Spread

# Text stays text, with few fonts to name at each word, and the same figures give the same file.
rcParams.update(
    {"svg.fonttype": "none", "svg.hashsalt": "kleidi", "font.size": 9, "font.sans-serif": ["DejaVu Sans"]}
)


def kms(results: Results, place: Path) -> list[Picture]:
    return [
        _saved(_ratios(results), place, "ratios", "Ratio to the Go reference, case by case"),
        _saved(_latencies(results), place, "latencies", "How long calls take, as shares of all calls"),
        _saved(_growth(results), place, "growth", "Calls a second by keys, callers and connections"),
    ]


def api_server(results: starts.Results, place: Path) -> list[Picture]:
    figure = Figure((6, 3.5), layout="constrained")
    axes = figure.subplots()
    for name in (*OURS, REFERENCE):
        seconds = [
            Spread.of([each.listed for each in sides[name].rounds]).middle for sides in results.values()
        ]
        axes.plot(list(results), seconds, marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="seeds", ylabel="seconds until ready and listed")
    _plain(axes.xaxis, (1,))
    _plain(axes.yaxis, (1, 2, 5))
    axes.legend()
    return [_saved(figure, place, "starts", "An API server's start, by the seeds of what it stored")]


def _ratios(results: Results) -> Figure:
    figures = {"calls/s": rate, "p50": p50, "CPU a call": cpu}
    columns = [(name, words) for name in OURS for words in figures]
    figure = Figure((2.6 * len(columns) + 2, 1.5 + 0.16 * len(results)), layout="constrained")
    grid = figure.subplots(1, len(columns), sharey=True, squeeze=False)
    for axes, (name, words) in zip(grid[0], columns, strict=True):
        found = list(series.ratios(results, name, REFERENCE, figures[words]))
        axes.barh([_label(case) for case, _ in found], [value - 1 for _, value in found], left=1, height=0.7)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set(xscale="log", title=f"{name}: {words}")
        axes.margins(y=0.01)
        _plain(axes.xaxis, (1, 2, 5))
        axes.tick_params("x", labelrotation=90)
    grid[0][0].invert_yaxis()
    grid[0][0].set_ylabel("method, size, keys,   callers / connections")
    return figure


def _label(case: Case) -> str:
    size = "" if case.method == "Status" else f" {case.size} B"
    what = f"{case.method}{size}, {case.keys:,}"
    return f"{what}   {case.callers} / {case.connections}"


def _plain(axis: Axis, steps: Sequence[int]) -> None:
    """Ticks at these steps of each power of ten, as numbers that one reads at once."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def _latencies(results: Results) -> Figure:
    shown = [Case(method, *shape) for method in CIPHERS for shape in (ONE, BUSY)]
    figure = Figure((8, 5), layout="constrained")
    grid = figure.subplots(2, 2, sharey=True)
    for axes, case in zip(grid.flat, shown, strict=True):
        for name in (*OURS, REFERENCE):
            lengths, shares = zip(*series.distribution(results[case][name]), strict=True)
            axes.step(lengths, shares, where="pre", label=name)
        axes.set(xscale="log", title=f"{case.method}, callers: {case.callers}", xlabel="microseconds")
        _plain(axes.xaxis, (1, 2, 5))
    grid[0][0].legend()
    return figure


def _growth(results: Results) -> Figure:
    figure = Figure((9, 5.5), layout="constrained")
    grid = figure.subplots(2, 3, sharey="row")
    for row, method in zip(grid, CIPHERS, strict=True):
        for axes, (along, kept) in zip(row, _alongs(results, method), strict=True):
            for name in (*OURS, REFERENCE):
                points = series.growth(results, name, kept, along)
                axes.plot(*zip(*points, strict=True), marker="o", label=name)
            axes.set(xscale="log", xlabel=along, title=_words(kept, along))
            axes.set_xticks([value for value, _ in points])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter("{x:g}")
        row[0].set_ylabel("calls/s")
        row[0].set_ylim(0)  # when all is drawn: it ends the scaling
    grid[0][0].legend()
    return figure


def _alongs(results: Results, method: str) -> Sequence[tuple[str, Case]]:
    """What grows, and what is kept."""
    callers = max(case.callers for case in results if case.method == method)
    return ("keys", Case(method, *BUSY)), ("callers", Case(method)), ("connections", Case(method, callers))


def _words(kept: Case, along: str) -> str:
    named = {"callers": kept.callers, "connections": kept.connections, "keys": kept.keys}
    return f"{kept.method}\n" + ", ".join(
        f"{name}: {value}" for name, value in named.items() if name != along
    )


def _saved(figure: Figure, place: Path, name: str, words: str) -> Picture:
    place.mkdir(exist_ok=True)
    figure.savefig(place / f"{name}.svg", metadata={"Date": None})
    return Picture(f"{place.name}/{name}.svg", words)

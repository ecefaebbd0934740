"""The computation graph of a map: boxes for maps, small nodes for values, with their shapes.

    x -> Linear1 -> s1 -> Tanh -> a1 -> Linear2 -> s2 -> Identity -> y_pred -> C, y -> C

A linear map keeps its number where it occurs again; values are numbered by place: s1 is what the
first linear map gives, a1 its activation. What the mathematics has no name for (a sum, another
activation) is h1, h2, ..., but the identity of such a value is that value; the last is y_pred.
Shapes have n rows, and D columns where any number will do.

The picture is laid out here, without graphviz: rows from left to right, broken before a linear map
or a sum, and the branches of a sum above one another. Widths of texts are estimated generously.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeAlias

from mlpkern.activations import Activation
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.models import Chain, Linear, Standardize, Sum

__all__ = ["Graph", "graph", "html", "settings"]


class Node(NamedTuple):
    """A box or a value: its kind, the lines of its label, and what else feeds it (y for a cost)."""

    kind: str
    lines: tuple[str, ...]
    feed: Node | None = None


class Fork(NamedTuple):
    """Branches that begin at the value before them and end in their sum."""

    branches: tuple[Track, ...]


Track: TypeAlias = "tuple[Node | Fork, ...]"
Width: TypeAlias = "int | None"

# Fill, outline, corner radius, smallest width. Dark text on light boxes reads on any page, and the
# grey of the lines stands out from white and from black.
STYLES = {
    "input": ("#ffffff", "#6f7784", 10, 66),
    "value": ("#ffffff", "#b4bac4", 10, 66),
    "linear": ("#dbe8fb", "#5b8bd0", 5, 88),
    "activation": ("#fdeccb", "#d39a35", 5, 66),
    "standardize": ("#e8e4f5", "#8d7fc4", 5, 88),
    "sum": ("#d9f0dc", "#57a263", 14, 28),
    "cost": ("#fbdedc", "#cf6b64", 5, 66),
}
PLUS = Node("sum", ("+",))
# Pixels: a row's width, and its indent after the first; between boxes, between rows; a bent line.
ROW, INDENT, GAP, SPACE, BEND = 1060, 88, 22, 26, 40
DOT = """digraph mlpkern {
  rankdir=LR; bgcolor="transparent"; nodesep=0.3; ranksep=0.3;
  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=11];
  edge [color="#8a919c", arrowsize=0.7];
"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{w:g}" height="{h:g}" \
viewBox="-4 -4 {w:g} {h:g}" style="max-width:100%" role="img" aria-label="computation graph" \
font-family="Helvetica, Arial, DejaVu Sans, sans-serif" font-size="12" text-anchor="middle">
{body}</svg>
"""


@dataclass(frozen=True)
class Graph:
    """A computation graph: DOT text when printed, a picture in a notebook. Made by `graph`."""

    track: Track

    @property
    def dot(self) -> str:
        """The graph in the DOT language, for graphviz."""
        lines: list[str] = []
        _link(self.track, "", lines)
        return DOT + "".join(f"  {line}\n" for line in lines) + "}\n"

    @property
    def svg(self) -> str:
        """The picture as SVG; it shrinks where a page is narrower."""
        drawn = _draw_track(self.track, ROW)
        return SVG.format(w=drawn.width + 8, h=drawn.height + 8, body=drawn.body)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the graph as .dot or .svg, as the suffix says; ValueError for any other."""
        from mlpkern.persistence import write_whole  # here, as it imports the whole package

        suffix = Path(path).suffix.lower()
        if suffix not in (".dot", ".svg"):
            raise ValueError(f"save: path must end in .dot or .svg; got {os.fspath(path)!r}")
        text = self.dot if suffix == ".dot" else self.svg
        write_whole(path, lambda file: file.write(text.encode()))

    def __str__(self) -> str:
        return self.dot

    __repr__ = __str__

    def _repr_svg_(self) -> str:
        return self.svg


def html(net: Map) -> str:
    """What a notebook shows for a map: how it is made, its parameters, its graph."""
    sizes = {id(f): f._size() for f in net._linears()}
    count = f"{sum(sizes.values()):,} parameters, {net.dtype}" if sizes else "no parameters"
    return f"<div><code>{escape(repr(net))}</code><br/>\n{count}<br/>\n{graph(net).svg}</div>"


def graph(net: Map, loss: Loss | None = None) -> Graph:
    """The computation graph of a map.

    Parameters
    ----------
    net : Map
    loss : Loss, optional
        Adds the cost C(y_pred, y).
    """
    if not isinstance(net, Map):
        raise TypeError(f"graph: net must be a Map; got {type(net).__name__}")
    if loss is not None and not isinstance(loss, Loss):
        raise TypeError(f"graph: loss must be a Loss or None; got {type(loss).__name__}")
    track, _, width = _Walk().track(net, "x", net.inputs)
    track = (_value("x", net.inputs, "input"), *track[:-1], _value("y_pred", width))
    return Graph(track if loss is None else (*track, _cost(loss, width)))


# --- from maps to a track -----------------------------------------------------------------------
class _Walk:
    """Names maps and values in the order in which they occur."""

    def __init__(self) -> None:
        self.linears: dict[int, int] = {}  # the number of each linear map, by its identity
        self.s = self.h = 0

    def track(self, net: Map, of: str, width: Width) -> tuple[Track, str, Width]:
        """The boxes and values of a map of a value, and the last value's name and width."""
        items: Track = ()
        if isinstance(net, Chain):
            for inner in net.layers:
                more, of, width = self.track(inner, of, width)
                items += more
            return items, of, width
        if isinstance(net, Sum):
            items = (Fork(tuple(self.track(inner, of, width)[0] for inner in net.layers)),)
        elif isinstance(net, Linear):
            i = self.linears.setdefault(id(net), len(self.linears) + 1)
            bias = (f"b{i} ({net.outputs},)",) if net.bias else ()
            weights = f"W{i} ({net.inputs}, {net.outputs})"
            items = (Node("linear", (f"Linear{i}", weights, *bias)),)
        elif isinstance(net, Standardize):
            numbers = f"mean, scale ({net.inputs},)"
            items = (Node("standardize", ("Standardize", numbers)),)
        else:
            known = isinstance(net, Activation)
            differ = settings(net.config(), type(net)().config()) if known else ()
            items = (Node("activation", (type(net).__name__, *differ)),)
        of, width = self.name(net, of), net._width(width)
        return (*items, _value(of, width)), of, width

    def name(self, net: Map, of: str) -> str:
        if isinstance(net, Linear):
            self.s += 1
            return f"s{self.s}"
        if isinstance(net, Activation) and of[0] == "s":
            return "a" + of[1:]
        if type(net).__name__ == "Identity":
            return of
        self.h += 1
        return f"h{self.h}"


def _value(name: str, width: Width, kind: str = "value") -> Node:
    return Node(kind, (name, f"(n, {'D' if width is None else width})"))


def settings(chosen: dict[str, Any], usual: dict[str, Any]) -> tuple[str, ...]:
    """The parameters that differ from their defaults, as ``scale=3``."""
    differ = [(k, v) for k, v in chosen.items() if v != usual[k]]
    return tuple(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in differ)


def _cost(loss: Loss, width: Width) -> Node:
    name, differ = type(loss).__name__, settings(loss._arguments(), type(loss)()._arguments())
    y = _value("y", width, "input")
    if name == "CrossEntropy":  # integer labels will do
        y = y._replace(lines=("y", f"(n,) or {y.lines[1]}"))
    return Node("cost", ("C", name, *differ, f"{loss.reduction} over n"), y)


# --- from a track to DOT ------------------------------------------------------------------------
def _link(track: Track, tail: str, lines: list[str]) -> str:
    """Adds a track behind a node ("" for none); the name of its last node."""
    for item in track:
        tails = [tail]
        if isinstance(item, Fork):
            tails = [_link(branch, tail, lines) for branch in item.branches]
            item = PLUS
        if item.feed:
            tails.append(_link((item.feed,), "", lines))
        tail, label = f"v{len(lines)}", "\\n".join(item.lines)
        fill, outline, *_ = STYLES[item.kind]
        shape = ", shape=circle, margin=0, width=0.3" if item is PLUS else ""
        lines.append(f'{tail} [label="{label}", fillcolor="{fill}", color="{outline}"{shape}];')
        lines += [f"{other} -> {tail};" for other in tails if other]
    return tail


# --- from a track to SVG ------------------------------------------------------------------------
class _Picture(NamedTuple):
    """A piece of the drawing; lines enter it at (0, enter) and leave it at (end, leave)."""

    width: float
    height: float
    enter: float
    end: float
    leave: float
    body: str

    def at(self, x: float, y: float) -> str:
        return f'<g transform="translate({x:g},{y:g})">\n{self.body}</g>\n'


def _line(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#8a919c" stroke-width="1.4"/>\n'


def _bend(x: float, y: float, to: float) -> str:
    return f"H{x:g}C{x + BEND / 2:g} {y:g} {x + BEND / 2:g} {to:g} {x + BEND:g} {to:g}"


def _draw_node(node: Node) -> _Picture:
    """A box with its label, the head of the line that enters it, and below it what feeds it."""
    fill, outline, radius, narrowest = STYLES[node.kind]
    wide = max(len(line) * (6.6 if i else 8.6) for i, line in enumerate(node.lines))
    feed = _draw_node(node.feed) if node.feed else None
    width = max(narrowest, math.ceil(wide) + 14, feed.width if feed else 0)
    height = 12.0 + 16 * len(node.lines)
    middle, axis = width / 2, height / 2
    size = f'width="{width:g}" height="{height:g}" rx="{radius}"'
    body = f'<rect {size} fill="{fill}" stroke="{outline}" stroke-width="1.2"/>\n'
    for i, line in enumerate(node.lines):
        font = "" if i else ' font-size="13" font-weight="bold"'
        place = f'x="{middle:g}" y="{18 + 16 * i}"'
        body += f'<text {place}{font} fill="#1f2933">{escape(line)}</text>\n'
    if node.kind != "input":
        body += _line(f"M-6 {axis - 4:g}l5 4l-5 4")
    if feed:
        body += feed.at(middle - feed.width / 2, height + SPACE)
        body += _line(f"M{middle:g} {height + SPACE:g}V{height + 1:g}m-4 5l4 -5l4 5")
        height += SPACE + feed.height
    return _Picture(width, height, axis, width, axis, body)


def _draw_fork(fork: Fork, room: float) -> _Picture:
    """The branches above one another, lines from one point to each and from each to the plus."""
    pieces = [_draw_track(branch, room - 3 * BEND) for branch in fork.branches]
    tops = [sum(p.height + SPACE for p in pieces[:i]) for i in range(len(pieces))]
    axis = median(top + p.enter for top, p in zip(tops, pieces, strict=True))
    plus, inner = _draw_node(PLUS), max(p.width for p in pieces)
    body = plus.at(inner + 2 * BEND, axis - plus.enter)
    for p, top in zip(pieces, tops, strict=True):
        x, enter, leave = BEND + (inner - p.width) / 2, top + p.enter, top + p.leave
        body += p.at(x, top) + _line(f"M0 {axis:g}{_bend(0, axis, enter)}H{x:g}")
        body += _line(f"M{x + p.end:g} {leave:g}{_bend(inner + BEND, leave, axis)}")
    width = inner + 2 * BEND + plus.width
    return _Picture(width, tops[-1] + pieces[-1].height, axis, width, axis, body)


def _draw_track(track: Track, room: float) -> _Picture:
    """Layers from left to right, in rows; a layer begins with a linear map or a sum."""
    layers: list[list[_Picture]] = [[]]
    for item in track:
        if (isinstance(item, Fork) or item.kind == "linear") and len(layers[-1]) > 1:
            layers.append([])
        layers[-1].append(_draw_fork(item, room) if isinstance(item, Fork) else _draw_node(item))
    rows, used = [layers[0]], _beside(layers[0]).width
    for layer in layers[1:]:
        width = _beside(layer).width
        used += GAP + width
        if used > room:
            rows.append([])
            used = INDENT + width
        rows[-1] += layer
    return _below([_beside(row) for row in rows])


def _beside(pieces: list[_Picture]) -> _Picture:
    """Pieces from left to right, joined by lines."""
    axis = max(p.enter for p in pieces)
    x, body = 0.0, ""
    for p in pieces:
        body += _line(f"M{x - GAP:g} {axis:g}h{GAP}") if x else ""
        body += p.at(x, axis - p.enter)
        x += p.width + GAP
    below = max(p.height - p.enter for p in pieces)
    return _Picture(x - GAP, axis + below, axis, x - GAP, axis, body)


def _below(rows: list[_Picture]) -> _Picture:
    """Rows below one another, a line from the end of each to the beginning of the next."""
    drawn = rows[0]
    for row in rows[1:]:
        top = drawn.height + SPACE
        turn, enter, x = drawn.height + SPACE / 2, top + row.enter, INDENT
        down, back = f"h2q8 0 8 8V{turn - 8:g}q0 8 -8 8", f"q-8 0 -8 8V{enter - 8:g}q0 8 8 8"
        line = _line(f"M{drawn.end:g} {drawn.leave:g}{down}H{x - 32}{back}H{x}")
        width, end = max(drawn.width, drawn.end + 10, x + row.width), x + row.width
        body = drawn.body + line + row.at(x, top)
        drawn = _Picture(width, top + row.height, drawn.enter, end, enter, body)
    return drawn

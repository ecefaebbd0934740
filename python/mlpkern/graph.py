"""The computation graph of a map: boxes for maps, small nodes for values, with their shapes.

    x -> Linear1 -> s1 -> Tanh -> a1 -> Linear2 -> s2 -> Identity -> y_pred -> C, y -> C

A linear map keeps its number where it occurs again; values are numbered by place. Linear maps give
s1, s2, ..., the activation of s1 is a1; what the mathematics has no name for (a sum, an activation
of something else) is h1, h2, ..., but the identity of such a value is that value. The last value
is y_pred. Shapes have n rows, and D columns where any number will do.

The picture is laid out here, without graphviz: rows from left to right, broken before a linear map
or a sum, and the branches of a sum above one another. Widths of texts are estimated generously.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeAlias
from xml.sax.saxutils import escape

from mlpkern.activations import Activation
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.models import Chain, Linear, Sum

__all__ = ["Graph", "graph"]


class Node(NamedTuple):
    """A box or a value: its kind, the lines of its label, and what else feeds it (y for a cost)."""

    kind: str
    lines: tuple[str, ...]
    feed: Node | None = None


class Fork(NamedTuple):
    """Branches that begin at the value before them and end in their sum."""

    branches: tuple[Track, ...]


Track: TypeAlias = "tuple[Node | Fork, ...]"

# Fill, outline, corner radius and smallest width of each kind. Dark text on a light fill reads on
# any page, and the lines' grey stands out from white and from black.
STYLES = {
    "value": ("#ffffff", "#b4bac4", 10, 54),
    "linear": ("#dbe8fb", "#5b8bd0", 5, 88),
    "activation": ("#fdeccb", "#d39a35", 5, 66),
    "sum": ("#d9f0dc", "#57a263", 14, 28),
    "cost": ("#fbdedc", "#cf6b64", 5, 66),
}
PLUS = Node("sum", ("+",))
ROW, GAP, FAN, SPACE = 1000, 22, 44, 24  # px: a row's width; between boxes; a bend; between rows
RIGHT, UP, NONE = "m-5 -3.5l5 3.5l-5 3.5", "m-3.5 5l3.5 -5l3.5 5", ""  # heads of lines


@dataclass(frozen=True)
class Graph:
    """A computation graph: DOT text when printed, a picture in a notebook. Made by `graph`."""

    track: Track

    @property
    def dot(self) -> str:
        """The graph in the DOT language, for graphviz."""
        lines = [
            'rankdir=LR; bgcolor="transparent"; nodesep=0.3; ranksep=0.3;',
            'node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=11];',
            'edge [color="#8a919c", arrowsize=0.7];',
        ]
        _link(self.track, "", lines)
        return "\n  ".join(["digraph mlpkern {", *lines]) + "\n}\n"

    @property
    def svg(self) -> str:
        """The picture as SVG; it shrinks where a page is narrower."""
        drawn = _draw_track(self.track, ROW)
        w, h = drawn.width + 8, drawn.height + 8
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{w:g}" height="{h:g}" '
            f'viewBox="0 0 {w:g} {h:g}" style="max-width:100%;height:auto" role="img" '
            'aria-label="computation graph" font-family="Helvetica, Arial, DejaVu Sans, sans-serif"'
            f' font-size="12" text-anchor="middle">\n{drawn.at(4, 4)}</svg>\n'
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the graph as .dot or .svg, as the suffix says; ValueError for any other."""
        from mlpkern.persistence import write_whole  # here, as it imports the whole package

        suffix = Path(path).suffix.lower()
        if suffix not in (".dot", ".svg"):
            raise ValueError(f"save: path must end in .dot or .svg; got {os.fspath(path)!r}")
        text = self.dot if suffix == ".dot" else self.svg
        write_whole(path, lambda file: file.write(text.encode()))

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.dot

    __repr__ = __str__


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
    x = _Value("x", net.inputs)
    track, last = _Walk().track(net, x)
    y_pred = last._replace(name="y_pred")
    return Graph((x.node(), *track[:-1], y_pred.node(), *([_cost(loss, y_pred)] if loss else [])))


# --- from maps to a track -----------------------------------------------------------------------
class _Value(NamedTuple):
    """What flows between maps: a name and a number of columns, None where any will do."""

    name: str
    width: int | None

    def node(self, shapes: str = "") -> Node:
        shape = f"{shapes}(n, {'D' if self.width is None else self.width})"
        return Node("value", (self.name, shape))


class _Walk:
    """Names maps and values in the order in which they occur."""

    def __init__(self) -> None:
        self.linears: dict[int, int] = {}  # the number of each linear map, by its identity
        self.s = self.h = 0

    def track(self, net: Map, value: _Value) -> tuple[Track, _Value]:
        """A map applied to a value: its boxes and values, ending with the value that comes out."""
        if isinstance(net, Chain):
            items: Track = ()
            for inner in net.layers:
                more, value = self.track(inner, value)
                items += more
            return items, value
        box: Node | Fork
        if isinstance(net, Sum):
            box = Fork(tuple(self.track(inner, value)[0] for inner in net.layers))
        else:
            box = self.box(net)
        output = _Value(self.name(net, value.name), net._width(value.width))
        return (box, output.node()), output

    def box(self, net: Map) -> Node:
        if isinstance(net, Linear):
            i = self.linears.setdefault(id(net), len(self.linears) + 1)
            bias = (f"b{i} ({net.outputs},)",) if net.bias else ()
            return Node("linear", (f"Linear{i}", f"W{i} ({net.inputs}, {net.outputs})", *bias))
        settings = ()
        if isinstance(net, Activation):
            settings = _settings(net.config(), type(net)().config())
        return Node("activation", (type(net).__name__, *settings))

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


def _settings(chosen: dict[str, object], usual: dict[str, object]) -> tuple[str, ...]:
    """The parameters that differ from their defaults."""
    differ = [(k, v) for k, v in chosen.items() if v != usual[k]]
    return tuple(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in differ)


def _cost(loss: Loss, y_pred: _Value) -> Node:
    name, settings = type(loss).__name__, _settings(loss._arguments(), type(loss)()._arguments())
    y = y_pred._replace(name="y").node("(n,) or " if name == "CrossEntropy" else "")
    return Node("cost", ("C", name, *settings, f"{loss.reduction} over n"), y)


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
        label = "\\n".join(line.replace("\\", r"\\").replace('"', r"\"") for line in item.lines)
        fill, outline, *_ = STYLES[item.kind]
        shape = ", shape=circle, margin=0, width=0.3" if item is PLUS else ""
        tail = f"v{len(lines)}"
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


def _line(path: str, head: str) -> str:
    return f'<path d="{path}{head}" fill="none" stroke="#8a919c" stroke-width="1.4"/>\n'


def _draw(item: Node | Fork, room: float) -> _Picture:
    if isinstance(item, Fork):
        return _draw_fork(item, room)
    if item.feed is None:
        return _draw_node(item)
    box, feed = _draw_node(item), _draw_node(item.feed)
    width, top = max(box.width, feed.width), box.height + SPACE
    body = box.at((width - box.width) / 2, 0) + feed.at((width - feed.width) / 2, top)
    body += _line(f"M{width / 2:g} {top:g}v{-SPACE}", UP)
    return _Picture(width, top + feed.height, box.enter, width, box.enter, body)


def _draw_node(node: Node) -> _Picture:
    fill, outline, radius, narrowest = STYLES[node.kind]
    wide = max(len(line) * (6.6 if i else 8.6) for i, line in enumerate(node.lines))
    width, height = max(narrowest, math.ceil(wide) + 14), 12 + 16 * len(node.lines)
    size = f'width="{width}" height="{height}" rx="{radius}"'
    body = f'<rect {size} fill="{fill}" stroke="{outline}" stroke-width="1.2"/>\n'
    for i, line in enumerate(node.lines):
        font = "" if i else ' font-size="13" font-weight="bold"'
        place = f'x="{width / 2:g}" y="{18 + 16 * i}"'
        body += f'<text {place}{font} fill="#1f2933">{escape(line)}</text>\n'
    return _Picture(width, height, height / 2, width, height / 2, body)


def _draw_fork(fork: Fork, room: float) -> _Picture:
    """The branches above one another, lines from one point to each and from each to the plus."""
    pieces = [_draw_track(branch, room - 3 * FAN) for branch in fork.branches]
    inner, plus = max(piece.width for piece in pieces), _draw_node(PLUS)
    tops = [sum(p.height + SPACE for p in pieces[:i]) for i in range(len(pieces))]
    axis = median(top + p.enter for top, p in zip(tops, pieces, strict=True))
    exit, width = inner + FAN, inner + 2 * FAN + plus.width
    body = plus.at(exit + FAN, axis - plus.enter)
    for branch, piece, top in zip(fork.branches, pieces, tops, strict=True):
        x, y = FAN + (inner - piece.width) / 2, top + piece.enter
        bend, head = FAN / 2, NONE if isinstance(branch[0], Fork) else RIGHT
        body += _line(f"M0 {axis:g}c{bend} 0 {bend} {y - axis:g} {FAN} {y - axis:g}H{x:g}", head)
        x, y = x + piece.end, top + piece.leave
        curve = f"c{bend} 0 {bend} {axis - y:g} {FAN} {axis - y:g}"
        body += piece.at(x - piece.end, top) + _line(f"M{x:g} {y:g}H{exit:g}{curve}", RIGHT)
    return _Picture(width, tops[-1] + pieces[-1].height, axis, width, axis, body)


def _draw_track(track: Track, room: float) -> _Picture:
    """The items from left to right; a line leads from the end of a row to the next one."""
    first = _draw(track[0], room)
    indent = first.width + GAP if track[0].__class__ is Node and track[0].kind == "value" else GAP
    rows = [_draw_row(row) for row in _rows(track, room, indent)]
    x = top = 0.0
    body = ""
    ...

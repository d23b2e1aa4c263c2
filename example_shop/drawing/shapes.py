"""Make outlines: arrays of points in a unit square whose y runs down, as pixels do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Path = NDArray[np.float64]
Points = Sequence[tuple[float, ...]]


def curve(points: Points | Path, *, closed: bool = False, steps: int = 10) -> Path:
    """Pass a Catmull-Rom spline through points; a third value of 1 makes that point a corner."""
    knots = np.array([[p[0], p[1]] for p in points], float)
    corner = [len(p) > 2 and p[2] == 1 for p in points]
    n = len(knots)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for i in range(n if closed else n - 1):
        a, b = knots[i], knots[(i + 1) % n]
        before = a if corner[i] or (not closed and i == 0) else knots[i - 1]
        after = b if corner[(i + 1) % n] or (not closed and i == n - 2) else knots[(i + 2) % n]
        out, into = (b - before) / 2, (after - a) / 2
        cubic = 2 * a - 2 * b + out + into
        pieces.append(a + out * t + (3 * (b - a) - 2 * out - into) * t**2 + cubic * t**3)
    if not closed:
        pieces.append(knots[-1:])
    return np.concatenate(pieces)


def ellipse(cx: float, cy: float, *, rx: float, ry: float, start: float = 0, stop: float = 360) -> Path:
    """Go round an ellipse from one angle to another, in degrees clockwise from the right."""
    angle = np.radians(np.linspace(start, stop, 64))
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], 1)


def rounded(left: float, top: float, *, right: float, bottom: float, radius: float) -> Path:
    """Make a rectangle with round corners."""
    r = min(radius, (right - left) / 2, (bottom - top) / 2)
    corners = [(right - r, bottom - r, 0), (left + r, bottom - r, 90), (left + r, top + r, 180)]
    corners.append((right - r, top + r, 270))
    return np.concatenate([ellipse(x, y, rx=r, ry=r, start=a, stop=a + 90)[::6] for x, y, a in corners])


def polygon(*points: tuple[float, float]) -> Path:
    """Join points by straight lines."""
    return np.array(points, float)


def resample(path: Path, step: float) -> Path:
    """Walk along an open path in equal steps."""
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    at = np.linspace(0, length[-1], max(2, int(length[-1] / step) + 1))
    return np.stack([np.interp(at, length, path[:, 0]), np.interp(at, length, path[:, 1])], 1)


def normals(path: Path) -> Path:
    """Give the unit normal at each point of an open path."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    return np.stack([-tangent[:, 1], tangent[:, 0]], 1)


def grown(path: Path, distance: float) -> Path:
    """Push a closed outline outwards by a distance, whichever way round it runs."""
    around = np.concatenate([path[-2:], path, path[:2]])
    side = normals(around)[2:-2]
    x, y = path[:, 0], path[:, 1]
    clockwise = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) > 0
    return path - side * distance if clockwise else path + side * distance


def ribbon(path: Points | Path, width: float, *, end: float | None = None, caps: bool = True) -> Path:
    """Give an open path a width, which may taper to `end`, and round caps."""
    points = np.asarray(path, float)[:, :2]
    if len(points) == 2:
        points = resample(points, float(np.hypot(*(points[1] - points[0]))) / 4)
    half = np.linspace(width, width if end is None else end, len(points))[:, None] / 2
    side = normals(points) * half
    left, right = points + side, points - side
    if not caps:
        return np.concatenate([left, right[::-1]])
    turn = np.radians(np.linspace(0, 180, 9))[1:-1, None]

    def cap(centre: Path, arm: Path) -> Path:
        across = np.array([arm[1], -arm[0]])
        return centre + arm * np.cos(turn) + across * np.sin(turn)

    return np.concatenate([left, cap(points[-1], side[-1]), right[::-1], cap(points[0], -side[0])])


def stitches(path: Points | Path, *, width: float = 0.0032, dash: float = 0.011, gap: float = 0.6) -> list[Path]:
    """Cut an open path into a row of short stitches."""
    points = resample(np.asarray(path, float)[:, :2], dash)
    return [ribbon(np.stack([a, a + (b - a) * gap]), width, caps=False) for a, b in itertools.pairwise(points)]


def turned(profile: Points, *, cx: float = 0.5, tilt: float = 0.12, top: bool = True) -> Path:
    """Turn a profile of (y, half-width) on a wheel, seen a little from above: the base and the rim bow by `tilt`."""
    side = curve([(p[1], p[0], *p[2:]) for p in profile])
    width, y = side[:, 0], side[:, 1]
    base = ellipse(cx, y[-1], rx=width[-1], ry=width[-1] * tilt, start=0, stop=180)
    right, left = np.stack([cx + width, y], 1), np.stack([cx - width, y], 1)[::-1]
    parts = [right, base, left]
    if top:
        parts.append(ellipse(cx, y[0], rx=width[0], ry=width[0] * tilt, start=180, stop=360))
    return np.concatenate(parts)


def flipped(path: Path, *, axis: float = 0.5) -> Path:
    """Reflect a path left to right."""
    return np.stack([2 * axis - path[:, 0], path[:, 1]], 1)


def symmetric(points: Points, *, axis: float = 0.5, steps: int = 10) -> Path:
    """Close the right half of an outline, given from top to bottom, with its reflection."""
    half = curve(points, steps=steps)
    return np.concatenate([half, flipped(half, axis=axis)[::-1]])


def shifted(path: Path, by: tuple[float, float]) -> Path:
    """Move a path."""
    return path + np.array(by)


def spun(path: Path, degrees: float, *, cx: float, cy: float) -> Path:
    """Turn a path round a centre."""
    a = np.radians(degrees)
    centre = np.array([cx, cy])
    return (path - centre) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + centre

"""look-alikes: against a search through all pairs, with shapely for the ground."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Geod, Transformer

from keenkite import utm
from keenkite.retrieval import look_alikes
from keenkite.retrieval.look_alikes import Ground, LookAlikes
from keenkite.tiling import Tile
from tests.support.points import unit
from tests.support.sown import tile

GEOD = Geod(ellps="WGS84")


def square(one: Tile, epsg: int) -> shapely.Polygon:
    """A tile in the metres of some UTM zone."""
    ring = np.array([(0, 0), (1, 0), (1, -1), (0, -1)]) * one.span + (one.west, one.north)
    if one.epsg != epsg:
        away = Transformer.from_crs(one.epsg, epsg, always_xy=True)
        ring = np.column_stack(away.transform(ring[:, 0], ring[:, 1]))
    return shapely.Polygon(ring)


def touching(a: Tile, b: Tile) -> bool:
    """Whether two tiles have ground in common; of one zone and span, by their squares alone."""
    return bool(square(a, a.epsg).intersection(square(b, a.epsg)).area > 1)


def by_all_pairs(
    tiles: Sequence[Tile], vectors: NDArray[np.float32], usual: float
) -> list[list[tuple[int, float]]]:
    """For each tile its look-alikes and their weights, one pair at a time."""
    found = []
    for a, mine in zip(tiles, vectors, strict=True):
        others = [j for j, b in enumerate(tiles) if not touching(a, b)]
        others.sort(key=lambda j: -float(mine @ vectors[j]))
        seen: set[str] = set()
        chosen = []
        for j in others:
            if tiles[j].cell not in seen and len(chosen) < 5:
                seen.add(tiles[j].cell)
                likeness = (float(mine @ vectors[j]) - usual) / (1 - usual)
                quarter, half = ((likeness - start) / (1 - start) for start in (0.25, 0.5))
                chosen.append((j, (max(quarter, 0) + max(half, 0)) / 2))
        found.append(chosen)
    return found


@st.composite
def grounds(draw: st.DrawFn) -> list[Tile]:
    """Tiles of a lattice: they overlap, touch, lie apart, or are dates of each other."""
    corner = st.integers(0, 7)
    places = draw(
        st.lists(st.tuples(corner, corner, st.integers(1, 4)), min_size=1, max_size=25, unique=True)
    )
    return [tile(300 + column, 3500 + row, day=day) for column, row, day in places]


@settings(max_examples=80, deadline=None)
@given(grounds(), st.integers(0, 99))
def test_they_are_the_closest_of_other_ground_each_ground_once(
    tiles: list[Tile], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(0.7, 1, (len(tiles), 8)))
    ground = Ground.of(tiles)
    found = LookAlikes(vectors=vectors, ground=ground, usual=0.2).of(vectors, ground)
    values = rng.normal(size=len(tiles))
    difference = found.difference(values, values)
    for i, wanted in enumerate(by_all_pairs(tiles, vectors, 0.2)):
        got = {j: w for j, w in zip(found.which[i], found.weights[i], strict=True) if w > 0}
        assert got == pytest.approx({j: w for j, w in wanted if w > 0}, abs=1e-5)
        total = 1 + sum(w for _, w in wanted)
        mean = (values[i] + sum(w * values[j] for j, w in wanted)) / total
        assert difference[i] == pytest.approx(mean - values[i], abs=1e-4)


def test_ground_is_shared_by_tiles_that_overlap_and_not_by_those_that_touch() -> None:
    one = tile(300, 3500)
    spans = [one, tile(301, 3501), tile(302, 3500), tile(302, 3502), tile(300, 3498)]
    spans += [tile(150, 1750, span=4480), tile(600, 7000, span=1120), tile(602, 7000, span=1120)]
    shared = Ground.of([one]).shared(Ground.of(spans))[0]
    # The centre of a tile of another span in a corner is nearer than the sum of the halves.
    assert shared.tolist() == [True, True, False, False, False, True, True, True]
    np.testing.assert_array_equal(shared, [touching(one, other) for other in spans])


@pytest.mark.parametrize(
    ("west", "east"),
    [(32653, 32654), (32753, 32754), (32660, 32601)],  # the last meet at the antimeridian
)
def test_zones_are_no_borders_of_ground(west: int, east: int) -> None:
    column, row = (673, 3500) if west != 32660 else (558, 6600)
    one = tile(column, row, epsg=west)
    x, y = utm.project(east, [one.lon], [one.lat])
    around = [
        tile(round(float(x[0]) / 1120 - 1) + i, round(float(y[0]) / 1120 + 1) + j, epsg=east)
        for i, j in itertools.product(range(-4, 5), repeat=2)
    ]
    shared = Ground.of([one]).shared(Ground.of(around))[0]
    metres = np.array([GEOD.inv(one.lon, one.lat, t.lon, t.lat)[2] for t in around])
    assert shared[metres < 1600].all()
    assert not shared[metres > 2240].any()
    # Squares that are turned against each other: what shares a tenth of a tile shares ground.
    for other, same in zip(around, shared, strict=True):
        part = square(one, one.epsg).intersection(square(other, one.epsg)).area / one.span**2
        assert same or part < 0.1
        assert part > 0 or not same


def test_a_thing_is_not_its_own_witness_on_eight_dates() -> None:
    here = tile(300, 3500)
    dates = [
        here, *(tile(300 + i % 2, 3500, day=2 + i) for i in range(7)),
        tile(340, 3500), tile(360, 3500),
    ]  # fmt: skip
    vectors = unit(np.ones((10, 4)) + np.eye(10, 4) * 1e-3)
    ground = Ground.of(dates)
    all_alike = LookAlikes(vectors=vectors, ground=ground, usual=0.0).of(vectors, ground)
    values = np.arange(10.0)
    # Each of the eight has the two far tiles alone: (0 + 8 + 9) / 3 less 0, and so on.
    expected = [(i + 8 + 9) / 3 - i for i in range(8)]
    np.testing.assert_allclose(all_alike.difference(values, values)[:8], expected, rtol=1e-3)
    # And eight dates of another place are one look-alike, the closest of them.
    vectors[3] = vectors[8]
    (far,) = (
        LookAlikes(vectors=vectors[:8], ground=ground.part(slice(0, 8)), usual=0.0)
        .of(vectors[8:9], ground.part(slice(8, 9)))
        .weights
    )
    assert np.count_nonzero(far) == 2  # the ground of the even columns, and of the odd ones


def test_more_dates_of_the_same_ground_change_no_difference() -> None:
    rng = np.random.default_rng(3)
    tiles = [tile(300 + 2 * i, 3500) for i in range(12)]
    vectors = unit(rng.normal(1, 0.5, (12, 6)))
    values = rng.normal(size=12)
    ground = Ground.of(tiles)
    once = LookAlikes(vectors=vectors, ground=ground, usual=0.1).of(vectors, ground)
    dated = [
        Tile(**{**_fields(t), "datetime": t.datetime + timedelta(days=d)})
        for t in tiles for d in range(8)
    ]  # fmt: skip
    many, all_of = Ground.of(dated), np.repeat(vectors, 8, axis=0)
    eight = LookAlikes(vectors=all_of, ground=many, usual=0.1).of(vectors, ground)
    np.testing.assert_allclose(
        eight.difference(values, np.repeat(values, 8)), once.difference(values, values), atol=1e-6
    )


def _fields(of: Tile) -> dict[str, object]:
    return {name: getattr(of, name) for name in of.__dataclass_fields__}


@pytest.mark.parametrize("usual", [0.0, 0.2, 0.9])
def test_a_look_alike_weighs_by_the_mean_of_two_ramps(usual: float) -> None:
    likeness = np.array([1.0, 0.75, 0.5, 0.4, 0.25, 0.1, -0.1])
    cosines = usual + likeness * (1 - usual)
    vectors = np.column_stack([cosines, np.sqrt(1 - cosines**2)]).astype(np.float32)
    pool, me = Ground.apart(7), Ground.apart(1)
    pool.places[:, 1] += 1e6
    for i, expected in enumerate([1.0, (2 / 3 + 1 / 2) / 2, 1 / 6, 0.1, 0, 0, 0]):
        alone = slice(i, i + 1)
        one = LookAlikes(vectors=vectors[alone], ground=pool.part(alone), usual=usual)
        (weights,) = one.of(np.array([[1, 0]], np.float32), me).weights
        assert weights == pytest.approx([expected], abs=1e-5)


def test_evidence_is_pulled_to_that_of_equals_and_left_alone_by_strangers() -> None:
    vectors = unit(np.eye(6)[[0, 0, 0, 0, 4, 5]] + 0.001)
    values = np.array([1.0, 2.0, 3.0, 6.0, 10.0, 20.0])
    ground = Ground.apart(6)
    found = LookAlikes(vectors=vectors, ground=ground, usual=0.3).of(vectors, ground)
    shared = values + found.difference(values, values)
    np.testing.assert_allclose(shared, [3, 3, 3, 3, 10, 20], atol=0.01)


def test_where_there_is_nobody_else_nothing_is_changed() -> None:
    ground, vectors = Ground.apart(1), unit(np.ones((1, 3)))
    alone = LookAlikes(vectors=vectors, ground=ground, usual=0.5).of(vectors, ground)
    assert alone.difference(np.ones(1), np.ones(1)).tolist() == [0]
    nobody = LookAlikes(vectors=vectors[:0], ground=ground.part(slice(0, 0)), usual=0.5)
    assert nobody.of(vectors, ground).difference(np.ones(1), np.zeros(0)).tolist() == [0]
    assert nobody.of(vectors[:0], ground.part(slice(0, 0))).which.shape[0] == 0


def test_many_tiles_are_judged_as_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors, ground = unit(rng.normal(1, 1, (50, 5))), Ground.apart(50)
    pool = LookAlikes(vectors=vectors[:20], ground=ground.part(slice(0, 20)), usual=0.0)
    values = rng.normal(size=50)
    at_once = pool.of(vectors, ground).difference(values, values[:20])
    monkeypatch.setattr(look_alikes, "_BLOCK", 7)
    np.testing.assert_allclose(pool.of(vectors, ground).difference(values, values[:20]), at_once)
    for i in (0, 19, 20, 49):
        one = np.array([i])
        alone = pool.of(vectors[one], ground.part(one)).difference(values[one], values[:20])
        assert alone[0] == pytest.approx(at_once[i])

"""What an index promises, in a folder and by URL alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from keenkite.area import Area
from keenkite.errors import EncoderMismatchError, InputError, NoIndexError, TileIndexError
from keenkite.index import Filters, TileIndex
from keenkite.sensors import SENTINEL2
from keenkite.tiling import Tile
from tests.support.points import SPANS, Named, World, tile, vectors
from tests.support.qdrant_server import serving

Open = Callable[..., TileIndex]


@pytest.fixture(params=["folder", "url"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the one index of a test, as often as the test likes."""
    indexes: list[TileIndex] = []

    def open_at(location: str | Path) -> Open:
        def open_index(**options: object) -> TileIndex:
            settings = {"encoder": Named(), "spans": SPANS, **options}
            indexes.append(TileIndex.open(location, **settings))  # type: ignore[arg-type]
            return indexes[-1]

        return open_index

    if request.param == "folder":
        yield open_at(tmp_path / "index")
    else:
        with serving() as server:
            yield open_at(server.url)
            for index in indexes:
                index.close()
    for index in indexes:
        index.close()


def test_a_tile_comes_back_as_it_was_written(opened: Open) -> None:
    index = opened()
    tiles = World.drawn(20).tiles
    written = vectors(20)
    index.upsert(tiles, written)
    ids = [t.id for t in tiles]
    assert index.count() == 20
    assert index.get(ids) == list(tiles)
    assert np.array_equal(index.vectors(ids), written)
    assert [t.place for t in index.get(ids)] == [t.place for t in tiles]
    assert sorted(t.id for t in index.scroll()) == sorted(ids)
    assert [m.tile for m in index.nearest(written[7], limit=1)] == [tiles[7]]


def test_what_is_written_is_there_when_it_is_opened_again(opened: Open) -> None:
    index = opened()
    index.upsert([tile(1)], vectors(1))
    index.close()
    again = opened(encoder=None, spans=None)
    assert again.get([tile(1).id]) == [tile(1)]
    assert (again.encoder_name, again.dim, again.bands) == ("fake", 64, None)
    assert (again.sensor, again.spans) == (SENTINEL2, SPANS)


def test_a_second_upsert_replaces_and_never_doubles(opened: Open) -> None:
    index = opened()
    index.upsert([tile(1), tile(2)], vectors(2))
    newer = tile(1, cloud=0.5)
    index.upsert([newer], vectors(1, seed=9))
    assert index.count() == 2
    assert index.get([newer.id]) == [newer]
    assert np.array_equal(index.vectors([newer.id]), vectors(1, seed=9))


def test_of_a_tile_given_twice_at_once_the_last_counts(opened: Open) -> None:
    index = opened()
    newer = tile(1, cloud=0.5)
    index.upsert([tile(1), tile(2), newer], vectors(3))
    assert index.get([newer.id, tile(2).id]) == [newer, tile(2)]
    assert np.array_equal(index.vectors([newer.id, tile(2).id]), vectors(3)[[2, 1]])
    assert index.statistics().n == 2


def test_a_tile_off_the_lattice_of_a_sensor_that_tells_nothing_comes_back_too(opened: Open) -> None:
    index = opened(spans=(300.5,))
    unknown = dict.fromkeys(("cloud", "water", "vegetation", "bare", "snow"))
    chip = tile(
        column=None, row=None, corner=(386401.25, 3976000.001), span=300.5, valid=0.4,
        scene_ids=("a", "b"), regions=(), **unknown,
    )  # fmt: skip
    index.upsert([chip], vectors(1))
    assert index.get([chip.id]) == [chip]
    assert index.get([chip.id])[0].lon == pytest.approx(chip.lon, abs=1e-7)
    for filters in (Filters(max_cloud=0.99), Filters(cover={"water": (0, 1)})):
        assert index.count(filters) == 0
    assert index.count(Filters(max_cloud=1)) == 1
    assert index.count(Filters(cells=(chip.cell,), spans=(300.5,), scenes=("b",))) == 1


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"column": 10**9}, "no such place"),
        ({"column": None, "row": None, "corner": (float("nan"), 0.0)}, "nowhere"),
        ({"epsg": 4326}, "EPSG:4326"),
        ({"cloud": 40.0}, "cloud is 40.0.*None if not known"),
        ({"snow": float("nan")}, "snow is nan"),
        ({"valid": 1.5}, "valid is 1.5.*from 0 to 1\\."),
        ({"valid": None}, "valid is None"),
        ({"datetime": datetime(2024, 1, 1)}, "no time zone"),
        (
            {"span": 4480},
            "4480 m wide, and this index holds tiles of 1120, 2240 m. Call add",
        ),
        ({"platform": "S2-B"}, "platform is 'S2-B'"),
        ({"scene_ids": ()}, "scene_ids is empty"),
        ({"scene_ids": ("a", "")}, "'' among its scenes or regions"),
        ({"regions": (" ",)}, "' ' among its scenes or regions"),
    ],
)
def test_a_tile_that_cannot_be_is_refused_and_nothing_written(
    opened: Open, bad: dict[str, object], says: str
) -> None:
    index = opened()
    with pytest.raises(InputError, match=says):
        index.upsert([tile(0), tile(1, **bad)], vectors(2))
    assert index.count() == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v.__setitem__((1, 3), np.nan), "norm nan"),
        (lambda v: v.__setitem__((1, 3), np.inf), "norm inf"),
        (lambda v: v.__setitem__(1, v[1] * 1.1), "norm 1.1"),
        (lambda v: v.__setitem__(1, 0), "norm 0"),
    ],
)
def test_a_vector_that_cannot_be_is_refused_and_nothing_written(
    opened: Open, change: Callable[[object], None], says: str
) -> None:
    index = opened()
    bad = vectors(2)
    change(bad)
    with pytest.raises(InputError, match=says):
        index.upsert([tile(0), tile(1)], bad)
    assert index.count() == 0


@pytest.mark.parametrize("shape", [(2, 63), (1, 64), (3, 64), (64,), (2, 64, 1)])
def test_vectors_of_another_shape_are_refused(opened: Open, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="shape"):
        opened().upsert([tile(0), tile(1)], np.ones(shape))


@pytest.mark.parametrize("query", [np.zeros(64), np.full(64, np.nan), np.ones(63), "airport"])
def test_a_query_that_cannot_be_is_refused(opened: Open, query: object) -> None:
    with pytest.raises(InputError, match="query vector"):
        opened().nearest(query, limit=3)  # type: ignore[arg-type]


def test_asking_for_no_tile_is_refused(opened: Open) -> None:
    with pytest.raises(InputError, match="limit is 0"):
        opened().nearest(vectors(1)[0], limit=0)


def test_an_empty_index_answers_with_nothing(opened: Open) -> None:
    index = opened()
    assert index.nearest(vectors(1)[0], limit=3) == []
    assert index.get(["nothing"]) == []
    assert index.vectors([]).shape == (0, 64)
    assert list(index.scroll()) == []
    assert index.regions() == []
    statistics = index.statistics()
    assert statistics.n == 0
    assert not statistics.mean.any()
    assert statistics.covariance.shape == (64, 64)


def test_vectors_of_a_tile_that_is_not_there_are_refused(opened: Open) -> None:
    with pytest.raises(InputError, match=tile(3).id):
        opened().vectors([tile(3).id])


def test_another_encoder_is_refused(opened: Open) -> None:
    opened().close()
    with pytest.raises(EncoderMismatchError, match=r"'fake' \(64 n.*not of 'other' \(64 num"):
        opened(encoder=Named("other"))
    with pytest.raises(EncoderMismatchError, match=r"not of 'fake' \(32 num"):
        opened(encoder=Named(dim=32))


def test_an_encoder_of_other_bands_is_refused(opened: Open) -> None:
    class Wide(Named):
        bands = ("B02", "B08")

    index = opened()
    with pytest.raises(
        EncoderMismatchError, match=r"not of 'fake' \(64 numbers from bands B02, B08"
    ):
        index.require(Wide())
    index.require(Named())


def test_bands_and_sensor_are_kept_and_another_sensor_is_refused(opened: Open) -> None:
    class Wide(Named):
        bands = ("B02", "B08")

    own = replace(SENTINEL2, name="own", metres=5.0)
    index = opened(encoder=Wide(), sensor=own, spans=None)
    assert (index.bands, index.sensor, index.spans) == (("B02", "B08"), own, (1120.0,))
    index.close()
    with pytest.raises(EncoderMismatchError, match="imagery of 'own', not of 'sentinel-2-l2a'"):
        opened(encoder=Wide(), sensor=SENTINEL2)
    assert opened(encoder=Wide(), sensor=own).bands == ("B02", "B08")
    # Its name alone does not say how its pixels are to be read.
    with pytest.raises(TileIndexError, match="There is no sensor 'own'"):
        opened(encoder=None)


def test_spans_are_added_and_seen_by_who_has_it_open(opened: Open) -> None:
    writer, other = opened(spans=None), opened(spans=None)
    assert writer.spans == (2240.0,)
    small = tile(1, span=1120)
    with pytest.raises(InputError, match="Call add_spans"):
        other.upsert([small], vectors(1))
    writer.add_spans((1120, 2240))
    other.upsert([small], vectors(1))
    assert other.spans == writer.spans == SPANS
    other.add_spans([4480])
    assert opened(encoder=None, spans=None).spans == (*SPANS, 4480.0)
    assert opened(spans=(560,)).spans == (560.0, *SPANS, 4480.0)


@pytest.mark.parametrize("span", [0, -2240, float("nan"), float("inf")])
def test_a_span_that_cannot_be_is_refused(opened: Open, span: float) -> None:
    with pytest.raises(InputError, match="width of tiles in metres, above 0"):
        opened(spans=[span])


def test_opening_what_is_not_there_without_an_encoder_makes_nothing(
    opened: Open, tmp_path: Path
) -> None:
    with pytest.raises(NoIndexError, match="There is no index"):
        opened(encoder=None, spans=None)
    assert list(tmp_path.iterdir()) == []


def test_removing_tells_how_many_and_leaves_the_rest(opened: Open) -> None:
    index = opened()
    world = World.drawn(2500)
    index.upsert(world.tiles, world.vectors)
    filters = Filters(max_cloud=0.6)
    gone = world.mask(filters)
    assert index.remove(filters) == gone.sum() > 1000
    assert {t.id for t in index.scroll()} == {
        t.id for t, g in zip(world.tiles, gone, strict=True) if not g
    }
    assert index.remove(filters) == 0


def test_removing_everything_by_accident_is_refused(opened: Open) -> None:
    index = opened()
    index.upsert([tile()], vectors(1))
    for nothing in (Filters(), Filters(max_cloud=1)):
        with pytest.raises(InputError, match="every tile"):
            index.remove(nothing)
    assert index.count() == 1


def test_blocks_give_every_tile_once_with_its_vector(opened: Open) -> None:
    index = opened()
    world = World.drawn(250)
    index.upsert(world.tiles, world.vectors)
    filters = Filters(max_cloud=0.5)
    blocks = list(index.blocks(filters, size=40))
    assert {len(tiles) for tiles, _ in blocks[:-1]} == {40}
    assert all(v.shape == (len(tiles), 64) and v.dtype == np.float32 for tiles, v in blocks)
    of = {t.id: v for t, v in zip(world.tiles, world.vectors, strict=True)}
    seen = [t.id for tiles, _ in blocks for t in tiles]
    expected = {t.id for t, ok in zip(world.tiles, world.mask(filters), strict=True) if ok}
    assert len(seen) == len(set(seen))
    assert set(seen) == expected
    rows = np.concatenate([v for _, v in blocks])
    assert np.array_equal(rows, np.stack([of[tile_id] for tile_id in seen]))
    with pytest.raises(InputError, match="size is 0"):
        next(index.blocks(size=0))


def test_blocks_can_be_written_into_another_index(opened: Open, tmp_path: Path) -> None:
    index = opened()
    world = World.drawn(120)
    index.upsert(world.tiles, world.vectors)
    with TileIndex.open(tmp_path / "copy", encoder=Named(), spans=index.spans) as copy:
        for tiles, rows in index.blocks(size=50):
            copy.upsert(tiles, rows)
        ids = [t.id for t in world.tiles]
        assert copy.get(ids) == list(world.tiles)
        assert np.array_equal(copy.vectors(ids), world.vectors)


def test_all_dates_of_a_square_of_ground_the_oldest_first(opened: Open) -> None:
    index = opened()

    def seen(column: int, month: int, platform: str = "S2A", **fields: object) -> Tile:
        moment = datetime.fromisoformat(f"2024-{month:02d}-01T01:00:00+00:00")
        return tile(column, datetime=moment, platform=platform, **fields)

    here = [seen(1, 5), seen(1, 2), seen(1, 2, "S2B"), seen(1, 9)]
    index.upsert([*here, seen(2, 3), seen(1, 4, span=1120)], vectors(6))
    cells = [tile(2).cell, tile(1).cell, tile(7).cell]
    dates = index.dates_of([*cells, cells[0]])
    assert list(dates) == cells
    assert dates[cells[0]] == [seen(2, 3)]
    assert dates[cells[1]] == [here[1], here[2], here[0], here[3]]
    assert dates[cells[2]] == []
    assert index.dates_of([]) == {}


def test_more_ids_than_fit_one_request_are_found(opened: Open) -> None:
    index = opened()
    world = World.drawn(1300)
    index.upsert(world.tiles, world.vectors)
    ids = [t.id for t in world.tiles]
    assert index.get(["nothing", *ids, ids[0]]) == [*world.tiles, world.tiles[0]]
    assert len(index.dates_of([t.cell for t in world.tiles])) == len({t.cell for t in world.tiles})


def test_a_polygon_that_is_a_box_and_the_box_let_the_same_through(opened: Open) -> None:
    index = opened()
    tiles = [tile(10 * i) for i in range(11)]
    index.upsert(tiles, vectors(11))
    # Its edges go through the places of two tiles, as they are kept.
    west, east = (round(tiles[i].lon, 7) for i in (3, 7))
    ring = [[west, 30], [east, 30], [east, 36], [west, 36], [west, 30]]
    polygon = Area.from_geojson({"type": "Polygon", "coordinates": [ring]})
    box = Area.from_bbox(west, 30, east, 36)
    for area in (polygon, box):
        columns = sorted(t.column or 0 for t in index.scroll(Filters(area=area)))
        assert columns == [330, 340, 350, 360, 370]


def test_days_are_whole_days_of_utc(opened: Open) -> None:
    index = opened()
    moments = [
        "2024-03-01T23:59:59.5+00:00",
        "2024-03-02T00:00:00+00:00",
        "2024-03-03T08:00:00+09:00",
    ]
    index.upsert(
        [tile(i, datetime=datetime.fromisoformat(m)) for i, m in enumerate(moments)], vectors(3)
    )
    only = Filters(start=date(2024, 3, 2), end=date(2024, 3, 2))
    assert {t.column for t in index.scroll(only)} == {301, 302}
    assert index.count(Filters(end=date(2024, 3, 1))) == 1
    assert index.count(Filters(start=date(2024, 3, 3))) == 0


def test_an_index_that_was_closed_says_so(opened: Open) -> None:
    index = opened()
    index.close()
    index.close()
    with pytest.raises((TileIndexError, RuntimeError), match="closed"):
        index.count()

"""Maps with a known answer: the fake encoder sees colours, so a painted square is the thing."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform

from keenkite.errors import InputError
from keenkite.retrieval.concepts import concept_and_rivals
from keenkite.retrieval.evidence import evidence
from keenkite.retrieval.heatmap import Heatmap, heatmap, heatmaps
from keenkite.tiling import Tile
from tests.support.fakes import WORDS, FakeEncoder

BACKGROUND = ("forest", "field", "city", "desert", "water", "snow", "black")
Square = tuple[slice, slice]
SQUARE: Square = np.s_[32:96, 96:160]


def painted(colour: str, square: Square = SQUARE, ground: str = "forest") -> NDArray[np.uint8]:
    rng = np.random.default_rng(7)
    tile = np.empty((224, 224, 3), np.float64)
    tile[:] = WORDS[ground]
    tile[square] = WORDS[colour]
    return np.clip(tile + rng.normal(0, 4, tile.shape), 0, 255).astype(np.uint8)


def look(tile: NDArray[np.uint8], text: str = "red") -> Heatmap:
    return heatmap(FakeEncoder(), tile, text, background=BACKGROUND)


def test_the_map_is_high_on_the_thing_and_low_elsewhere() -> None:
    heat = look(painted("red"))
    inside = np.zeros((224, 224), bool)
    inside[SQUARE] = True
    assert heat.values.shape == (224, 224)
    assert heat.values.dtype == np.float32
    assert heat.grid.shape == (7, 7)
    assert heat.found
    assert inside[heat.peak]
    assert heat.values[48:80, 112:144].min() > 0.5
    assert heat.grid[1:3, 3:5].min() > 0.5
    far = np.ones((224, 224), bool)
    far[0:128, 64:192] = False
    assert heat.values[far].max() < 0.2


def test_every_value_is_between_0_and_1_though_splines_overshoot() -> None:
    values = look(painted("red")).values
    assert values.min() >= 0
    assert values.max() <= 1


@pytest.mark.parametrize("step", [(0, 1), (1, 0), (3, -2)])
def test_the_peak_moves_with_the_thing(step: tuple[int, int]) -> None:
    down, right = (32 * n for n in step)
    row, col = look(painted("red")).peak
    moved = look(painted("red", np.s_[32 + down : 96 + down, 96 + right : 160 + right])).peak
    assert abs(moved[0] - row - down) <= 16
    assert abs(moved[1] - col - right) <= 16


def test_a_tile_without_the_thing_looks_empty() -> None:
    for colour in ("forest", "field", "city", "water"):
        heat = look(painted(colour))
        assert not heat.found
        assert heat.strength < 0.3


def test_a_tile_that_is_nothing_but_the_thing_is_not_empty() -> None:
    heat = look(painted("red", ground="red"))
    assert heat.found
    assert heat.values.min() > 0.5


def test_a_map_does_not_depend_on_the_tiles_beside_it() -> None:
    tiles = np.stack([painted("red"), painted("forest"), painted("blue", ground="desert")])
    together = heatmaps(FakeEncoder(), tiles, "red", background=BACKGROUND)
    for tile, heat in zip(tiles, together, strict=True):
        np.testing.assert_allclose(heat.values, look(tile).values, atol=1e-6)


def test_no_tiles_give_no_maps() -> None:
    assert heatmaps(FakeEncoder(), np.empty((0, 224, 224, 3), np.uint8), "red") == []


def test_evidence_is_what_its_description_says() -> None:
    rng = np.random.default_rng(3)

    def unit(*shape: int) -> NDArray[np.float32]:
        x = rng.normal(size=shape)
        return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), np.float32)

    patches, query, background = unit(2, 3, 4, 8), unit(8), unit(5, 8)
    found = evidence(patches, query, background)
    for n in range(2):
        common = patches[n].reshape(-1, 8).astype(float).mean(0)
        for row in range(3):
            for col in range(4):
                patch = patches[n, row, col]
                unit = (background @ patch).std()
                ahead = (query - background) @ (patch - 0.25 * common) / unit
                expected = -np.log(np.exp(-3 * ahead).mean()) / 3
                assert found[n, row, col] == pytest.approx(expected, abs=1e-4)


def test_a_text_that_all_patches_resemble_a_little_is_not_found_for_that() -> None:
    """A part that every patch and every text share changes no map."""
    rng = np.random.default_rng(5)
    patches = rng.normal(size=(1, 7, 7, 8)).astype(np.float32)
    query, rivals = rng.normal(size=8), rng.normal(size=(6, 8))
    common = np.eye(9)[-1] * 3

    def with_common(x: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([x, np.zeros((*x.shape[:-1], 1))], -1) + common

    plain = evidence(patches, query, rivals)
    shifted = evidence(with_common(patches), with_common(query), with_common(rivals))
    np.testing.assert_allclose(plain, shifted, atol=1e-4)


@pytest.mark.parametrize("span", [1120, 2240, 4480])
def test_the_peak_is_where_rasterio_says(span: float) -> None:
    heat = look(painted("red"))
    tile = Tile.at(
        epsg=32654, span=span, west=369600.0, north=3947000.0, datetime=datetime.now(UTC),
        platform="S2A", collection="s2", scene_ids=("a",),
    )  # fmt: skip
    lon, lat = heat.peak_lonlat(tile)
    side = span / 224
    at = rasterio.Affine(side, 0, tile.west, 0, -side, tile.north)
    x, y = rasterio.transform.xy(at, *heat.peak)
    expected = transform("EPSG:32654", "EPSG:4326", [x], [y])
    assert (lon, lat) == pytest.approx((expected[0][0], expected[1][0]), abs=1e-7)


@pytest.mark.parametrize(
    "tile",
    [
        np.zeros((224, 224, 3), np.float32),
        np.full((224, 224, 3), np.nan),
        np.zeros((100, 224, 3), np.uint8),
        np.zeros((224, 224), np.uint8),
        np.zeros((1, 224, 224, 3), np.uint8),
    ],
)
def test_what_is_no_tile_is_refused(tile: Any) -> None:
    with pytest.raises(InputError):
        look(tile)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="empty"):
        look(painted("red"), text)


def test_a_value_is_even_at_a_fixed_evidence_and_follows_its_log_odds() -> None:
    tile = painted("red")
    vector, rivals = concept_and_rivals(FakeEncoder(), "red", BACKGROUND)
    found = evidence(FakeEncoder().patch_features(tile[None]), vector, rivals)[0]
    values = np.clip(look(tile).grid.astype(float), 1e-6, 1 - 1e-6)
    expected = np.clip((found - 1.2) / 0.3, *np.log([1e-6, 1e6]))
    np.testing.assert_allclose(np.log(values / (1 - values)), expected, atol=0.05)


@pytest.mark.parametrize(("strength", "found"), [(0.49, False), (0.5, True), (0.6, True)])
def test_a_map_says_found_from_the_middle_of_its_scale_on(strength: float, found: bool) -> None:
    values = np.full((224, 224), strength, np.float32)
    heat = Heatmap(text="red", values=values, grid=values[:7, :7], peak=(0, 0))
    assert heat.found == found


def test_two_other_things_are_background_enough() -> None:
    assert heatmap(FakeEncoder(), painted("red"), "red", background=["forest", "city"]).found


def test_a_background_of_nothing_else_is_refused() -> None:
    with pytest.raises(InputError, match="background"):
        heatmap(FakeEncoder(), painted("red"), "red", background=["forest"])


def test_too_many_tiles_are_refused() -> None:
    tiles = np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (257, 224, 224, 3))
    with pytest.raises(InputError, match="256 at most"):
        heatmaps(FakeEncoder(), tiles, "red")


def masked(*squares: Square) -> NDArray[np.bool_]:
    mask = np.zeros((224, 224), bool)
    for square in squares:
        mask[square] = True
    return mask


@pytest.mark.parametrize("under", ["white", "red", "black"])
def test_what_the_mask_hides_has_no_part_in_the_map(under: str) -> None:
    square = np.s_[128:192, 0:64]
    mask = masked(square)
    heat = heatmap(FakeEncoder(), painted("red"), "red", mask=mask, background=BACKGROUND)
    tile = painted("red")
    tile[square] = WORDS[under]
    other = heatmap(FakeEncoder(), tile, "red", mask=mask, background=BACKGROUND)
    np.testing.assert_allclose(other.values, heat.values, atol=1e-6)
    assert (other.values[mask] == 0).all()
    assert (other.grid[4:6, 0:2] == 0).all()
    assert other.peak == heat.peak
    assert other.hidden is not None
    assert (other.hidden == mask).all()
    assert other.seen == pytest.approx(1 - mask.mean())


def test_a_find_that_cloud_hides_is_none_and_another_one_beside_it_is() -> None:
    tile, other = painted("red"), np.s_[160:192, 0:32]
    mask = masked(SQUARE)
    hidden = heatmap(FakeEncoder(), tile, "red", mask=mask, background=BACKGROUND)
    assert not hidden.found
    tile[other] = WORDS["red"]
    heat = heatmap(FakeEncoder(), tile, "red", mask=mask, background=BACKGROUND)
    assert heat.found
    assert masked(other)[heat.peak]


def test_a_value_beside_cloud_is_not_pulled_down_by_it() -> None:
    tile = painted("red", ground="red")
    mask = masked(np.s_[:, 96:])
    heat = heatmap(FakeEncoder(), tile, "red", mask=mask, background=BACKGROUND)
    assert heat.values[:, :96].min() > 0.5


def test_a_patch_that_cloud_only_touches_still_counts_but_the_peak_is_in_the_open() -> None:
    tile = painted("red", np.s_[32:64, 32:64])
    mask = masked(np.s_[44:52, 44:52])  # the middle of the only hot patch
    heat = heatmap(FakeEncoder(), tile, "red", mask=mask, background=BACKGROUND)
    assert heat.found
    assert not mask[heat.peak]
    assert masked(np.s_[32:64, 32:64])[heat.peak]
    assert (heat.values[mask] == 0).all()


def test_a_tile_that_is_all_masked_finds_nothing_and_says_so() -> None:
    tiles = np.stack([painted("red", ground="red"), painted("red")])
    mask = np.stack([np.ones((224, 224), bool), np.zeros((224, 224), bool)])
    whole, clear = heatmaps(FakeEncoder(), tiles, "red", mask=mask, background=BACKGROUND)
    assert not whole.found
    assert whole.strength == whole.seen == 0
    assert all(0 <= n < 224 for n in whole.peak)
    for sure in (None, 0.1, 0.9):
        assert "all of it is cloud or has no data" in replace(whole, confidence=sure).belief
        assert replace(whole, confidence=sure).believed is None
    assert clear.found
    assert clear.seen == 1
    np.testing.assert_allclose(clear.values, look(tiles[1]).values, atol=1e-6)


def test_no_tiles_with_a_mask_give_no_maps() -> None:
    nothing, mask = np.empty((0, 224, 224, 3), np.uint8), np.empty((0, 224, 224), bool)
    assert heatmaps(FakeEncoder(), nothing, "red", mask=mask) == []


@pytest.mark.parametrize(
    "mask", [np.zeros((224, 224), np.uint8), np.zeros((112, 112), bool), np.zeros((1, 1), bool)]
)
def test_what_is_no_mask_of_the_tile_is_refused(mask: Any) -> None:
    with pytest.raises(InputError, match=r"bool \(1, 224, 224\)"):
        heatmap(FakeEncoder(), painted("red"), "red", mask=mask, background=BACKGROUND)


@pytest.mark.parametrize("row", [0, 96, 192])
@pytest.mark.parametrize("col", [0, 96, 192])
def test_the_peak_of_one_patch_is_in_its_middle_at_the_rim_too(row: int, col: int) -> None:
    heat = look(painted("red", np.s_[row : row + 32, col : col + 32]))
    assert heat.peak[0] == pytest.approx(row + 15.5, abs=5)
    assert heat.peak[1] == pytest.approx(col + 15.5, abs=5)


def test_the_peak_of_a_tile_full_of_it_is_not_on_the_rim() -> None:
    assert all(8 <= n < 216 for n in look(painted("red", ground="red")).peak)


def test_the_peak_of_a_thing_that_is_bent_is_on_the_thing() -> None:
    tile = painted("red", np.s_[64:160, 64:160])
    tile[64:128, 96:128] = WORDS["forest"]  # a U, open to the top
    heat = look(tile)
    u = masked(np.s_[64:160, 64:160]) & ~masked(np.s_[64:128, 96:128])
    assert u[heat.peak]


@pytest.mark.parametrize(
    ("strength", "confidence", "trained", "believed", "says"),
    [
        (0.9, 0.8, True, None, "Map and search agree: it is here."),
        (0.1, 0.1, False, None, "Map and search agree: it is not recognised here."),
        (0.9, 0.29, True, "map", "Believe the map: the map finds it and the search does not"),
        (0.71, 0.29, True, "map", "Believe the map: the map finds it and the search does not"),
        (0.69, 0.29, True, "search", "Believe the search: the map finds it and the search does"),
        (0.1, 0.3, True, "search", "Believe the search: the search finds it and the map does"),
        (0.9, 0.29, False, "search", "Believe the search: the map finds it and the search does"),
        (0.1, 0.3, False, "search", "Believe the search: the search finds it and the map does"),
        (0.9, None, True, None, "The map finds it."),
        (0.1, None, True, None, "It is too weak to be a find."),
    ],
)
def test_a_map_says_what_to_believe_where_the_search_says_otherwise(
    strength: float, confidence: float | None, trained: bool, believed: str | None, says: str
) -> None:
    values = np.full((224, 224), strength, np.float32)
    heat = Heatmap(
        text="red", values=values, grid=values[:7, :7], peak=(0, 0), confidence=confidence,
        patches_trained=trained,
    )  # fmt: skip
    assert heat.believed == believed
    assert heat.belief.startswith(says)


def test_under_cloud_the_map_is_believed_whatever_the_model() -> None:
    values = np.zeros((224, 224), np.float32)
    heat = Heatmap(
        text="red", values=values, grid=values[:7, :7], peak=(0, 0), confidence=0.9,
        hidden=masked(np.s_[:, 100:]),
    )  # fmt: skip
    assert heat.believed == "map"
    assert "cloud" in heat.belief


def test_of_words_that_a_model_was_never_taught_neither_is_believed() -> None:
    class Taught(FakeEncoder):
        vocabulary = ("red", "forest", "city")

    heat = heatmap(Taught(), painted("red"), "wedding cake", background=BACKGROUND)
    for sure in (None, 0.1, 0.9):
        assert replace(heat, confidence=sure).believed is None
        assert replace(heat, confidence=sure).belief.startswith("Go by neither")
    assert not heatmap(Taught(), painted("red"), "reds", background=BACKGROUND).doubtful


def test_a_map_knows_whether_its_model_learnt_what_patches_show() -> None:
    class Taught(FakeEncoder):
        patches_trained = True

    assert not look(painted("red")).patches_trained
    assert heatmap(Taught(), painted("red"), "red", background=BACKGROUND).patches_trained


def test_a_text_is_read_as_a_search_reads_it() -> None:
    class Taught(FakeEncoder):
        vocabulary = ("red", "forest", "city")

    one, many = (
        heatmap(Taught(), painted("red"), text, background=BACKGROUND)
        for text in ("red", ' "reds" ')
    )
    np.testing.assert_array_equal(one.values, many.values)
    assert many.text == ' "reds" '


def test_how_near_a_word_is_a_synonym_can_be_said() -> None:
    names = ("red", "orange", "forest", "water")
    counts = [
        len(concept_and_rivals(FakeEncoder(), "red", names, synonym=near)[1])
        for near in (-1.1, 0.6, 1.1)
    ]
    assert counts[0] == 0
    assert counts[1] < len(names) == counts[2]


def test_the_best_of_two_alike_is_the_one_within_a_thing() -> None:
    tile = painted("red", np.s_[96:192, 96:192])  # nine patches
    tile[32:64, 32:64] = WORDS["red"]  # one alone
    row, col = look(tile).peak
    assert 96 <= row < 192
    assert 96 <= col < 192

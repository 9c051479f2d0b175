"""A request for a build: one frozen type, written and read back."""

import json
from datetime import date
from typing import Any

import pytest
import shapely

from keenkite.area import Area
from keenkite.build import BuildRequest
from keenkite.build.coverage import Shown, uncovered
from keenkite.build.history import Fate
from keenkite.errors import InputError
from tests.support.scene_files import scene_of

WORDS: dict[str, Any] = {
    "area": Area.from_bbox(139.0, 35.0, 139.2, 35.2),
    "start": date(2024, 5, 1),
    "end": date(2024, 5, 31),
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"spans": (2240.0, 1120.0), "region": "bay", "max_cloud": "5%", "choose": "least-cloudy"},
        {"area": Area.around(139.7, 35.5, 4)},
        {"area": Area.from_bbox(179.9, -17, -179.9, -16)},
    ],
)
def test_a_request_comes_back_from_json_as_it_was(more: dict[str, Any]) -> None:
    request = BuildRequest(**(WORDS | more))
    back = BuildRequest.from_json(json.loads(json.dumps(request.to_json())))
    for name in ("start", "end", "region", "max_cloud", "choose", "spans"):
        assert getattr(back, name) == getattr(request, name)
    assert back.area.circle == request.area.circle
    whole, again = (shapely.union_all(one.area.parts) for one in (request, back))
    assert whole.symmetric_difference(again).area < 1e-9


def test_cloud_is_kept_as_a_fraction_and_spans_in_order() -> None:
    request = BuildRequest(**WORDS, max_cloud="5%", spans=(2240, 1120, 2240))
    assert (request.max_cloud, request.spans) == (0.05, (1120, 2240))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"start": date(2024, 6, 1)}, "swap"),
        ({"region": " "}, "1 to 100"),
        ({"region": "x" * 101}, "1 to 100"),
        ({"choose": "best"}, "every-date, least-cloudy"),
        ({"spans": ()}, "at least"),
        ({"max_cloud": 101}, "101"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        BuildRequest(**(WORDS | wrong))


def test_scenes_on_the_other_side_of_the_world_cover_nothing_here() -> None:
    # The same numbers of metres, 24 zones away: seen from here they would lie anywhere.
    area = Area.from_bbox(139.9, 35.1, 139.92, 35.12)
    away = scene_of({}, (600, 600), epsg=32630)
    cell = (2240.0, away.west, away.north)
    found = uncovered(area, [Shown(unit=away, fate=Fate(kept=frozenset([cell])))])
    assert found.reasons == {"no_scene": pytest.approx(found.asked_km2, rel=1e-3)}
    assert found.percent == 100

"""Query: what it holds, what it asks of a tile, and what it refuses."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import pytest

from keenkite.area import Area
from keenkite.errors import InputError
from keenkite.index import Filters
from keenkite.retrieval.query import Asked, Near, Query

FACTS: dict[str, Any] = {
    "area": Area.from_bbox(139, 35, 140, 36),
    "start": date(2024, 5, 1),
    "end": date(2024, 5, 31),
    "max_cloud": 0.2,
    "cover": {"water": (0.1, 0.5)},
    "regions": ("kanto", "kansai"),
    "scenes": ("one",),
    "spans": (1120.0, 2240.0),
}


def test_facts_given_one_by_one_are_those_of_filters() -> None:
    assert Query(text="a", **FACTS).filters == Filters(**FACTS)
    assert Query(text="a", filters=Filters(**FACTS)) == Query(text="a", **FACTS)
    assert Query(text="a").filters == Filters()


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_may_stand_beside_filters_and_not_twice(name: str) -> None:
    others = {key: value for key, value in FACTS.items() if key != name}
    fact = {name: FACTS[name]}
    assert Query(text="a", filters=Filters(**others), **fact).filters == Filters(**FACTS)
    with pytest.raises(InputError, match=f"{name} is given twice"):
        Query(text="a", filters=Filters(**FACTS), **fact)


def test_an_absent_fact_is_not_given() -> None:
    filters = Filters(**FACTS)
    nothing = dict.fromkeys(FACTS)
    assert Query(text="a", filters=filters, **nothing).filters == filters


def test_cloud_may_be_written_as_people_write_it() -> None:
    for cloud in (0.2, 20, "20%", "20 %"):
        assert Query(text="a", max_cloud=cloud).filters.max_cloud == pytest.approx(0.2)


def test_lists_become_tuples_and_a_copy_with_a_change_is_a_query() -> None:
    near = Near(text="sea", within_km=3)
    query = Query(text="a", near=[near], exclude=["b"], like=[[139.5, 35.5]], regions=["kanto"])
    assert (query.near, query.exclude, query.like) == ((near,), ("b",), ((139.5, 35.5),))
    assert query.filters.regions == ("kanto",)
    assert dataclasses.replace(query, limit=3) == Query(
        text="a", near=(near,), exclude=("b",), like=((139.5, 35.5),), regions=("kanto",), limit=3
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        query.limit = 5  # type: ignore[misc]


def test_its_conditions_are_all_that_it_asks_each_once() -> None:
    near, far = Near(text="sea", within_km=3), Near(text="sea", within_km=8)
    query = Query(
        text="port", near=(near, far, near), exclude=("sea", far, "sea"), unlike=("some-tile",)
    )
    assert query.conditions == (
        Asked(kind="text", text="port"),
        Asked(kind="near", text="sea", within_km=3),
        Asked(kind="near", text="sea", within_km=8),
        Asked(kind="exclude", text="sea"),
        Asked(kind="exclude", text="sea", within_km=8),
        Asked(kind="unlike"),
    )
    assert [asked.name for asked in query.conditions] == [
        "text", "near sea within 3 km", "near sea within 8 km", "without sea",
        "without sea within 8 km", "unlike",
    ]  # fmt: skip
    assert [asked.unwanted for asked in query.conditions] == [False] * 3 + [True] * 3
    assert query.conditions[1].to_json() == {"kind": "near", "text": "sea", "within_km": 3}


def test_examples_are_one_condition_with_a_text_or_without() -> None:
    assert Query(like=("a",)).conditions == (Asked(kind="like"),)
    assert Query(text="port", like=("a",)).conditions == (Asked(kind="text", text="port"),)
    # With tiles it is like, the query moves away from those it is unlike.
    assert Query(like=("a",), unlike=("b",)).conditions == (Asked(kind="like"),)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "nothing to look for"),
        ({"text": "  "}, "text is empty"),
        ({"text": 3}, "text is empty"),
        ({"text": "a", "limit": 0}, "limit is 0"),
        ({"text": "a", "limit": 10_001}, "limit is 10001"),
        ({"text": "a", "limit": True}, "whole number"),
        ({"text": "a", "limit": 2.0}, "whole number"),
        ({"text": "a", "start": date(2024, 2, 1), "end": date(2024, 1, 1)}, "is after"),
        ({"text": "a", "cover": {"water": (0.8, 1), "snow": (0.3, 1)}}, "more than 1"),
        ({"text": "a", "cover": {"lava": (0, 1)}}, "not 'lava'"),
        ({"text": "a", "max_cloud": 101}, "max_cloud is 101"),
        ({"text": "a", "exclude": "b"}, r"a list of concepts; write \['b'\]"),
        ({"text": "a", "near": Near(text="b", within_km=1)}, "near is a list of concepts"),
        ({"text": "Sea", "exclude": ("sea ",)}, "both looked for and excluded"),
        ({"text": "a", "exclude": ("",)}, "in a few words"),
        ({"text": "a", "exclude": (3,)}, "in a few words"),
        ({"text": "a", "near": ("b",)}, "write Near"),
        ({"like": "32654-1-1-20240501-S2A"}, "a list of tiles"),
        ({"text": "a", "unlike": "x"}, "unlike is a list of tiles"),
        ({"like": ((35.0, 139.0),)}, "longitude comes first"),
        ({"like": ((-181, 35.0),)}, "longitude comes first"),
        ({"like": ((180.5, 35.0),)}, "longitude comes first"),
        ({"like": ((35.0, -91.0),)}, "longitude comes first"),
        ({"like": ((float("nan"), 35.0),)}, "longitude comes first"),
        ({"like": (3,)}, "the id of a tile"),
        ({"like": (139.0, 35.0)}, "the id of a tile"),
        ({"like": ("x",), "unlike": ("x",)}, "both like and unlike"),
        ({"text": "a", "regions": "kanto"}, "not one name"),
        ({"text": "a", "spans": 2240}, r"write \[2240\]"),
        ({"text": "a", "filters": {"regions": ("kanto",)}}, "write Filters"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Query(**asked)


def test_the_largest_and_smallest_that_can_be_meant_are_taken() -> None:
    assert Query(text="a", limit=1).limit == 1
    assert Query(text="a", limit=10_000).limit == 10_000
    assert Query(text="a", cover={"water": (0.6, 1), "snow": (0.4, 1)})
    assert Query(like=((-180, -90), (180, 90)))
    assert Near(text="a", within_km=100).within_km == 100


@pytest.mark.parametrize("km", [0, -1, 100.1, float("nan"), "3", None])
def test_a_distance_that_cannot_be_meant_is_refused(km: Any) -> None:
    with pytest.raises(InputError, match="above 0 and up to 100 km"):
        Near(text="sea", within_km=km)


@pytest.mark.parametrize("text", ["", " ", None])
def test_a_near_concept_needs_words(text: Any) -> None:
    with pytest.raises(InputError, match="no text"):
        Near(text=text, within_km=3)

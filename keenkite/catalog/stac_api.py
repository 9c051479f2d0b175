"""Scenes from a STAC API with item search."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from keenkite.area import Area
from keenkite.catalog.client import Client, Credentials, ReplyError
from keenkite.catalog.intake import Account, Asked, Intake, Scenes
from keenkite.catalog.pages import Page, PagesError, Search, pages
from keenkite.catalog.selection import EARTH_SEARCH_COLLECTIONS, select_scenes
from keenkite.catalog.service import Service, id_of, linked, other_collections
from keenkite.catalog.signing import Signer
from keenkite.catalog.stac_items import RawItem, cloud_of
from keenkite.catalog.values import JSONObject, objects
from keenkite.cloud import cloud_fraction, percent
from keenkite.errors import CatalogError
from keenkite.reader import grid_of

logger = logging.getLogger(__name__)

_UNKNOWN = (400, 404, 422)
"""What APIs answer that do not know a collection."""
_HOW = "--stac-collection or KEENKITE_STAC_COLLECTION"
_MENTIONED = 12
"""Collections that a message names."""
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class StacApi:
    """A STAC API with item search, such as Earth Search.

    Where no collections are named, those of Earth Search are looked in; an API that has neither is
    asked for what it has of Sentinel-2 L2A. An item that states no cloud cover is not found where
    the API itself compares it.
    """

    def __init__(
        self,
        url: str,
        collections: Sequence[str] | None = None,
        *,
        allow_s3: bool = False,
        signer: Signer | None = None,
        backoff: float = 0.5,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: Of the landing page. A user and password, or a query such as "?token=…", are sent
                with each request to this host, and to no other.
            collections: To search; where two have the same acquisition the earlier one counts.
                None for the usual ones of Sentinel-2 L2A.
            allow_s3: Whether items may name objects in S3, to be read with the credentials that
                GDAL finds on this machine.
            signer: Signs hrefs of Planetary Computer.
            backoff: Seconds before the second try of a request that failed; each next wait is
                twice as long.

        Raises:
            CatalogError: the URL is not one.
        """
        try:
            self._credentials = Credentials.of(url)
        except ValueError:
            raise CatalogError(
                "the URL of a STAC API looks like https://host/path: check it"
            ) from None
        self.host = self._credentials.origin.netloc
        """Host and port, to name it in messages: the URL itself may hold secrets."""
        self._url = self._credentials.url
        self._collections = tuple(collections) if collections else None
        self._allow_s3, self._backoff = allow_s3, backoff
        self._signer = Signer() if signer is None else signer

    def search(
        self, area: Area, start: date, end: date, *, max_cloud: float | str | None = None
    ) -> Scenes:
        """See `Catalog.search`."""
        most = 1.0 if max_cloud is None else cloud_fraction(max_cloud)
        asked = Asked(area=area, start=start, end=end, max_cloud=most)
        try:
            with Client(self._credentials, backoff=self._backoff) as client:
                return self._search(client, asked)
        except ReplyError as error:
            raise self._explain(error) from None

    def _search(self, client: Client, asked: Asked) -> Scenes:
        service = self._service(client)
        if self._collections is not None:
            scenes = self._selected(client, service, asked, collections=self._collections)
        else:
            scenes = self._selected_by_default(client, service, asked)
        if not scenes.account.counts["found"]:
            scenes.account.notes += self._why_none(client, service, scenes.account)
        return scenes

    def _selected_by_default(self, client: Client, service: Service, asked: Asked) -> Scenes:
        """The scenes where nobody says in which collections they are."""
        usual = EARTH_SEARCH_COLLECTIONS
        scenes, refused = None, None
        try:
            scenes = self._selected(client, service, asked, collections=usual)
            if scenes.account.counts["found"]:
                return scenes
        except ReplyError as error:
            if error.status not in _UNKNOWN:
                raise
            refused = error
        listed = self._listed(client, service)
        others = () if refused is not None and listed is None else other_collections(listed, usual)
        if others:
            names = ", ".join(others)
            logger.info("%s has none of %s: looked in %s", self.host, ", ".join(usual), names)
            scenes = self._selected(client, service, asked, collections=others)
        if scenes is None:
            assert refused is not None, "a search gives scenes or fails"
            raise refused
        return scenes

    def _selected(
        self, client: Client, service: Service, asked: Asked, *, collections: Sequence[str]
    ) -> Scenes:
        """The scenes of some collections."""
        account = Account(place=self.host, collections=tuple(collections), asked=asked)
        found = self._found(client, service, asked, collections=collections)
        scenes = select_scenes(
            Intake(account, grid_of).take(found),
            asked.area,
            asked.start,
            asked.end,
            max_cloud=asked.max_cloud,
            collections=collections,
        )
        return Scenes(scenes, account)

    def _found(
        self, client: Client, service: Service, asked: Asked, *, collections: Sequence[str]
    ) -> Iterator[RawItem]:
        """All items of all pages, for each side of 180° of the area."""
        items = broken = 0
        for search in service.searches(asked, collections=collections):
            for page in self._pages(client, search):
                items += len(page.items)
                broken += page.broken
                for item in page.items:
                    yield RawItem(
                        item=item, base=page.url, allow_s3=self._allow_s3, signer=self._signer
                    )
        if broken and not items:
            raise self._no_stac(TypeError("no items"))
        if broken:
            logger.warning("%s sent %d members that are no items: left out", self.host, broken)

    def _pages(self, client: Client, search: Search) -> Iterator[Page]:
        try:
            yield from pages(client, search)
        except PagesError as error:
            raise CatalogError(
                f"{self.host} {error}: ask for a smaller area or fewer days, or tell who runs it"
            ) from None
        except _NONSENSE as error:
            raise self._no_stac(error) from None

    def _service(self, client: Client) -> Service:
        """What the landing page says."""
        landing = client.json(self._url)
        try:
            service = Service.of(landing.content, landing.url)
        except _NONSENSE as error:
            raise self._no_stac(error) from None
        if service is None:
            raise CatalogError(
                f"{self.host} is not a STAC API with item search: check that the URL is that of "
                f"the API's landing page; a static catalog can be copied and used as a folder"
            )
        return service

    def _listed(self, client: Client, service: Service) -> list[JSONObject] | None:
        """The collections that the API lists; None where it does not."""
        found: list[JSONObject] = []
        url: str | None = service.collections
        asked: set[str] = set()
        while url is not None and url not in asked and len(asked) < 20:
            asked.add(url)
            try:
                reply = client.json(url, patient=False)
            except ReplyError:
                return found or None
            if not isinstance(reply.content, Mapping):
                return found or None
            found += [one for one in objects(reply.content.get("collections")) if id_of(one)]
            url = linked(reply.content, "next", reply.url)
        return found or None

    def _why_none(self, client: Client, service: Service, account: Account) -> list[str]:
        """What else can be said where a search found no item at all."""
        if notes := self._cloudier(client, service, account):
            return notes
        listed = self._listed(client, service)
        if listed is None:
            return [f"if its collections have other names, say which with {_HOW}"]
        names = [id_of(one) for one in listed]
        missing = [name for name in account.collections if name not in names]
        if not missing:
            return []
        more = f" and {len(names) - _MENTIONED:,} more" if len(names) > _MENTIONED else ""
        there = f"{', '.join(names[:_MENTIONED])}{more}"
        return [f"it has no {' and no '.join(missing)}, it has {there}: choose with {_HOW}"]

    def _cloudier(self, client: Client, service: Service, account: Account) -> list[str]:
        """What there is with more cloud than asked, which the API itself left out."""
        asked = account.asked
        if not service.compares or asked.max_cloud >= 1:
            return []
        search = service.searches(asked, collections=account.collections, all_clouds=True)[0]
        try:
            page = next(pages(client, search))
            clouds = [cloud_of(item) for item in page.items]
        except (ReplyError, PagesError, *_NONSENSE):
            return []
        if not page.items:
            return []
        known = [cloud for cloud in clouds if cloud is not None]
        clearest = f" (the clearest of {len(known):,} has {percent(min(known))})" if known else ""
        count = max(page.matched or 0, len(page.items))
        return [f"with more cloud, or without saying it, it has {count:,}{clearest}"]

    def _no_stac(self, error: Exception) -> CatalogError:
        return CatalogError(
            f"{self.host} answers, but not as a STAC API does ({type(error).__name__}): "
            f"check that the URL is that of a STAC API's landing page"
        )

    def _explain(self, error: ReplyError) -> CatalogError:
        if error.status is None:
            advice = "Check the network and the URL, or use a folder of STAC items"
            if "CERTIFICATE" in str(error):
                advice = "If its certificate is your own, name it in REQUESTS_CA_BUNDLE"
            return CatalogError(f"the STAC API {self.host} {error}. {advice}")
        if error.status < 300:
            return self._no_stac(error)
        advice = "check the URL and what is asked for"
        if error.may_pass:
            advice = "it is overloaded or fails: try again later, or with a smaller area"
        elif error.status in (401, 403):
            advice = "check the user, password or token in the URL"
        return CatalogError(f"the STAC API {self.host} {error}: {advice}")

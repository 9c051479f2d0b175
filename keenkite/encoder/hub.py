"""Files of the Hugging Face hub: weights, and what open_clip wrote beside them."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from json import loads
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keenkite.encoder.records import OPEN_CLIP_FILES, OPENAI_MEAN, OPENAI_STD, HubFile, ModelRecord
from keenkite.errors import InputError, ModelError, StorageError

PREFIX = "hf-hub:"
"""How open_clip names a repository that has its configuration beside its weights."""

_CONFIG = "open_clip_config.json"

_REPO = re.compile(r"[\w.-]+/[\w.-]+")

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
"""What the system says when a disk is full, a quota is used up, or a folder is not ours."""

OnBytes = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all) while weights download; in all is 0 if unknown."""


def repository_in(name: str) -> str | None:
    """ "owner/name" of "hf-hub:owner/name"; None where the name does not begin so.

    Raises:
        InputError: It begins so, and no repository's name follows.
    """
    if not name.startswith(PREFIX):
        return None
    repo = name.removeprefix(PREFIX)
    if not _REPO.fullmatch(repo):
        raise InputError(
            f"There is no model {name!r}: {PREFIX} is followed by owner/name, as in "
            f"'{PREFIX}timm/ViT-B-16-SigLIP2'."
        )
    return repo


def record_of_repository(
    repo: str, *, endpoint: str | None = None, cache_dir: Path | None = None
) -> ModelRecord:
    """The record of a repository with open_clip_config.json; only that file is fetched.

    Args:
        repo: owner/name.
        endpoint: See `fetch`.
        cache_dir: See `fetch`.

    Raises:
        ModelError: The file cannot be had, or describes no model.
        StorageError: See `fetch`.
    """
    source = HubFile(repo=repo, files=(_CONFIG,))
    path = fetch(source, endpoint=endpoint, cache_dir=cache_dir)
    try:
        whole = loads(path.read_text("utf-8"))
        config, pixels = whole["model_cfg"], whole.get("preprocess_cfg") or {}
        if not all(isinstance(config[key], Mapping) for key in ("vision_cfg", "text_cfg")):
            raise TypeError("its towers are not described")
        mean, std = (
            tuple(float(number) for number in pixels.get(key) or usual)
            for key, usual in (("mean", OPENAI_MEAN), ("std", OPENAI_STD))
        )
        if (len(mean), len(std)) != (3, 3) or not all(std):
            raise ValueError("mean and std are not three numbers each")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{_CONFIG} of {repo} describes no model that open_clip could make: "
            f"{type(error).__name__}: {error}. Choose another repository."
        ) from error
    return ModelRecord(
        name=f"{PREFIX}{repo}",
        architecture=repo,
        quick_gelu=bool(config.get("quick_gelu", False)),
        source=HubFile(repo=repo, files=OPEN_CLIP_FILES),
        mean=mean,
        std=std,
        own_config=config,
    )


def fetch(
    source: HubFile,
    *,
    progress: OnBytes | None = None,
    endpoint: str | None = None,
    cache_dir: Path | None = None,
) -> Path:
    """The file in Hugging Face's cache, downloaded if it is not there yet.

    What is in the cache is used without asking the hub: its vectors are those of the index.

    Args:
        source: Repository and files; the first that exists there is taken.
        progress: Replaces the bar on stderr.
        endpoint: The hub's address; None is huggingface_hub's own choice.
        cache_dir: None is huggingface_hub's own choice.

    Raises:
        ModelError: It cannot be had: no network, no such file, not allowed.
        StorageError: The cache cannot be written: the disk is full, or it is somebody else's.
    """
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for file in source.files:
        with suppress(LocalEntryNotFoundError):
            return _download(source, file, cache_dir=cache_dir, local_files_only=True)
    missing: ModelError | None = None
    for file in source.files:
        try:
            return _from_hub(
                source, file, endpoint=endpoint, cache_dir=cache_dir, progress=progress
            )
        except EntryNotFoundError as error:
            missing = missing or _unavailable(source, file, error)
    assert missing is not None, "a HubFile names at least one file"
    raise missing


def _from_hub(
    source: HubFile,
    file: str,
    *,
    progress: OnBytes | None,
    endpoint: str | None,
    cache_dir: Path | None,
) -> Path:
    """One file, downloaded; EntryNotFoundError where the repository does not have it."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    # HTTPError is the root of what its HTTP library raises; which library that is has changed
    # between versions of huggingface_hub, and this name has not.
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        EntryNotFoundError,
        HTTPError,
    )

    meter = None if progress is None else _meter(progress)
    try:
        # Without a network this says so at once; hf_hub_download tries for half a minute.
        get_hf_file_metadata(hf_hub_url(source.repo, file, endpoint=endpoint))
        return _download(source, file, endpoint=endpoint, cache_dir=cache_dir, tqdm_class=meter)
    except EntryNotFoundError:
        raise
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise StorageError(
                f"{file} of {source.repo} cannot be written into the Hugging Face cache: "
                f"{error.strerror}. Free some space, or move the cache with HF_HOME."
            ) from error
        raise _unavailable(source, file, error) from error


def _download(source: HubFile, file: str, **how: Any) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(source.repo, file, **how))


def _unavailable(source: HubFile, file: str, error: Exception) -> ModelError:
    reason = str(error.__cause__ or error).strip().split("\n")[0]
    what, otherwise = (
        ("The configuration", "copy the Hugging Face cache (HF_HOME) of one that has it")
        if file == _CONFIG
        else ("The weights", "fetch the file elsewhere and name it with --weights PATH")
    )
    return ModelError(
        f"{what} {file} of {source.repo} on the Hugging Face hub cannot be had: {reason}. "
        f"Either connect this machine to the network, or {otherwise}."
    )


def _meter(progress: OnBytes) -> type:
    """A progress bar class for huggingface_hub that reports to `progress` instead of drawing."""

    class Meter:
        def __init__(self, *, total: float | None = None, initial: float = 0, **_: object) -> None:
            self.total, self.n = total, initial

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            pass

        def update(self, n: float = 1) -> None:
            self.n += n
            progress(int(self.n), int(self.total or 0))

        def update_transfer(self, n: float) -> None:
            """Xet's count of compressed bytes; having this method merges its two bars into one."""

        def set_postfix_str(self, *_: object, **__: object) -> None:
            pass

        set_transfer_postfix_str = set_postfix_str

    return Meter

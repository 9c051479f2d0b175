"""Weights from the Hugging Face hub, or from its cache on this machine."""

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keenkite.encoder.models import HubFile
from keenkite.errors import ModelError, StorageError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
"""What the system says when a disk is full, a quota is used up, or a folder is not ours."""

OnBytes = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all) while weights download; in all is 0 if unknown."""


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
    return ModelError(
        f"The weights {file} of {source.repo} on the Hugging Face hub cannot be had: {reason}. "
        f"Either connect this machine to the network, or fetch the file elsewhere and name it "
        f"with --weights PATH."
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

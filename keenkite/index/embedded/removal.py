"""Deleting an index in a folder, and nothing that lies beside it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from keenkite.errors import StorageError
from keenkite.index.embedded.folder import CURRENT, GARBAGE, META, RECORDS, SHARDS
from keenkite.index.embedded.lock import LOCK_FILES, Hold, writing


def remove_folder(folder: Path, *, wait: float) -> None:
    """Delete an index while no process uses it, and its folder where it is empty then.

    The records go first and the description last: ended in the middle, it is an index that has
    nothing complete, and can be removed again.

    Raises:
        IndexBusyError: another process did not let go of it in time.
        StorageError: a file cannot be deleted.
    """
    hold = Hold(folder)
    with writing(folder, "removal", wait, shared=False):
        hold.acquire("removal", wait)
        try:
            for name in (RECORDS, CURRENT, SHARDS, GARBAGE, META, *LOCK_FILES):
                path = folder / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"Cannot delete {error.filename or folder}: {error.strerror}. "
                "Make it writable, and remove the index again."
            ) from error
        finally:
            hold.release()
    with suppress(OSError):  # pixels, or files of somebody else
        folder.rmdir()

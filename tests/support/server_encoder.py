"""FakeEncoder that takes its time, so that a build can be met in its middle."""

import time

import numpy as np
import numpy.typing as npt

from tests.support.fakes import FakeEncoder


class SlowEncoder(FakeEncoder):
    """Sleeps before each batch of pictures."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def encode_images(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        time.sleep(self._seconds)
        return super().encode_images(rgb)

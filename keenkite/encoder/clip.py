"""Tiles and texts to vectors of one space, so that a text can find a tile."""

import logging
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keenkite.encoder.devices import Precision, choose_device
from keenkite.encoder.protocol import Encoder, Pixels, Vectors
from keenkite.encoder.tokens import encode_tokens
from keenkite.errors import InputError, ModelError
from keenkite.tiling import TILE

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from keenkite.encoder.records import ModelRecord

logger = logging.getLogger(__name__)

MAX_TEXT = 10_000  # characters; a concept is a few words, and tokenizing is not free
_BATCH = {"cpu": 32, "mps": 64, "cuda": 256}
_TEXT_BATCH = 64
_REMEMBERED_TEXTS = 4096  # background and repeated queries; 2 KB each at 512 numbers


class ClipEncoder:
    """A CLIP model of open_clip as an Encoder. May be used from several threads at once."""

    def __init__(
        self,
        record: "ModelRecord",
        model: "torch.nn.Module",
        *,
        device: "torch.device",
        dtype: "torch.dtype",
    ) -> None:
        """Use `ClipEncoder.load`."""
        from keenkite.encoder.sight import Sight
        from keenkite.encoder.words import words_of

        config = record.config()
        self.name = record.name
        """The record's name; for a checkpoint of one's own, architecture@hash of the file."""
        self.dim: int = config["embed_dim"]
        """The length of every vector."""
        self.bands = record.bands
        """The sensor's bands it wants to be shown, in their order; None: red, green, blue."""
        self.vocabulary = record.vocabulary
        """All that it was taught to name, each with other wordings; None: no such bounds."""
        self.patches_trained = record.patches_trained
        """Whether it learnt what single patches show, or whole pictures alone."""
        tower: Any = model.to(device=device, dtype=dtype)
        self._model = tower
        self._device = device
        self._dtype = dtype
        # Only the memory of texts is guarded: a forward pass changes nothing, and a query must
        # not wait for a batch of tiles.
        self._lock = threading.Lock()
        self._words = words_of(record.name, config["text_cfg"], tower.context_length)
        self._texts: OrderedDict[str, Vectors] = OrderedDict()
        size = tower.visual.image_size
        self._sight = Sight(record, size if isinstance(size, int) else size[0], device)

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        device: str = "auto",
        weights: str | Path | None = None,
        precision: Precision = "auto",
        progress: Callable[[int, int], None] | None = None,
    ) -> "ClipEncoder":
        """Load a model, downloading its weights if they are not in Hugging Face's cache.

        Args:
            name: A record ("remoteclip-vit-b-32", "llama3-ms-clip-base", "keenkite-tiny"; see
                docs/models.md), an open_clip tag ("ViT-B-16:openai"), a repository with open_clip's
                configuration ("hf-hub:owner/name"), an architecture with a checkpoint
                ("ViT-B-32-quickgelu:/path/file.pt"), or a path.
            device: "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "cuda", "cuda:1", "mps".
            weights: A file to read the weights from, instead of downloading them.
            precision: "auto" is fp16 on CUDA and MPS; on the CPU bf16 where it has instructions
                for it, and fp32 otherwise.
            progress: Called with (bytes so far, bytes in all) while weights download, instead of
                the bar on stderr.

        Raises:
            InputError: There is no such model, device or precision.
            ModelError: The weights cannot be had, or are not this model's; or its texts need the
                transformers package, which is not installed.
        """
        from keenkite.encoder import checkpoint, models
        from keenkite.encoder.records import ModelRecord
        from keenkite.encoder.weights import build_model

        place, dtype = choose_device(device, precision)
        found = models.find_record(str(name))
        if isinstance(found, ModelRecord):
            record, path = found, _file_of(found, weights, progress)
            state = checkpoint.read_checkpoint(path)
        elif weights is not None:
            raise InputError(f"Two checkpoints are named: {found} and {weights}. Name one.")
        else:
            path, state = found, checkpoint.read_checkpoint(found)
            record = models.record_of_checkpoint(path, state)
        model = build_model(record, state, path)
        return cls(record, model, device=place, dtype=dtype)

    def encode_images(self, rgb: Pixels) -> Vectors:
        """(n, 224, 224, channels) -> float32 (n, dim), unit norm; n may be 0.

        Args:
            rgb: uint8 red, green, blue; for a model with `bands` uint16 reflectance × 10,000 of
                these.

        Raises:
            InputError: Another dtype or shape.
            ModelError: The model answers with numbers that are not finite.
        """
        (vectors,) = self._run(rgb, lambda x: (self._model.visual(x),))
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """n strings -> float32 (n, dim), unit norm; n may be 0.

        A text of more tokens than the model reads (77 for most) is cut after a word, with a
        warning in the log.

        Raises:
            InputError: A text is empty or longer than 10,000 characters.
            ModelError: The model answers with numbers that are not finite.
        """
        if isinstance(texts, str):
            raise InputError("encode_texts takes a list of texts. Pass [text].")
        for i, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise InputError(f"Text {i} is empty. Describe what to look for in a few words.")
            if len(text) > MAX_TEXT:
                raise InputError(
                    f"Text {i} has {len(text):,} characters, more than {MAX_TEXT:,}. "
                    f"Describe what to look for in a few words."
                )
        with self._lock:
            known = {text: self._texts[text] for text in set(texts) & self._texts.keys()}
        # Texts of like length together: a batch costs what its longest does.
        new = sorted((text for text in set(texts) if text not in known), key=len)
        for start in range(0, len(new), _TEXT_BATCH):
            batch = new[start : start + _TEXT_BATCH]
            for text, vector in zip(batch, self._encode_new_texts(batch), strict=True):
                known[text] = vector.copy()  # a view would keep its whole batch in memory
        with self._lock:
            for text, vector in known.items():
                self._texts[text] = vector
                self._texts.move_to_end(text)
            while len(self._texts) > _REMEMBERED_TEXTS:
                self._texts.popitem(last=False)
        if not known:
            return np.zeros((0, self.dim), np.float32)
        return np.stack([known[text] for text in texts])

    def room(self, text: str) -> int:
        """Tokens that it would still read after a text; below 0, how many it would not read."""
        return self._words.length - self._words.marks - self._words.count(text)

    def patch_features(self, rgb: Pixels, *, grid_scale: int = 1) -> Vectors:
        """ClearCLIP features: (n, 224, 224, channels) -> float32 (n, rows, cols, dim), unit norm.

        Row 0 is the top of the tile. 7 × 7 patches for ViT-B/32, 16 × 16 for ViT-L/14, 24 × 24 for
        ViT-L/14 at 336 px.

        Args:
            rgb: Tiles as for `encode_images`.
            grid_scale: 2 gives twice as many rows and columns, for four times the work and more:
                the tile is enlarged to twice the model's own size and the model's position
                embeddings are interpolated to fit, which it was not trained for.

        Raises:
            InputError: Another dtype or shape, or `grid_scale` is not 1, 2, 3 or 4.
            ModelError: The model is not a CLIP vision transformer.
        """
        from keenkite.encoder import clearclip

        if grid_scale not in {1, 2, 3, 4}:
            raise InputError(f"grid_scale is 1, 2, 3 or 4, not {grid_scale!r}.")
        (patches,) = self._run(
            rgb,
            lambda x: (clearclip.patches(self._model.visual, x),),
            finer=grid_scale,
        )
        return patches

    def encode_with_patches(self, rgb: Pixels) -> tuple[Vectors, Vectors]:
        """`encode_images` and `patch_features` from one pass: about the time of either alone."""
        from keenkite.encoder import clearclip

        vectors, patches = self._run(
            rgb, lambda x: clearclip.trunk_and_patches(self._model.visual, x)
        )
        return vectors, patches

    def _run(
        self,
        pixels: Pixels,
        forward: "Callable[[Tensor], tuple[Tensor, ...]]",
        *,
        finer: int = 1,
    ) -> list[Vectors]:
        """Normalised batches through `forward`; its outputs as unit vectors, batches joined."""
        import torch

        self._sight.check(pixels)
        if len(pixels) == 0:  # open_clip cannot; the shapes are those of one image's answer
            one = np.zeros((1, *self._sight.shape), self._sight.dtype)
            return [out[:0] for out in self._run(one, forward, finer=finer)]
        # As many as cost what a full batch at 224 px does.
        share = (TILE / (self._sight.side * finer)) ** 2
        size = max(1, int(_BATCH[self._device.type] * min(1.0, share)))
        batches: list[list[Vectors]] = []
        with torch.inference_mode():
            for start in range(0, len(pixels), size):
                x = self._sight(pixels[start : start + size], finer=finer)
                batches.append([self._to_unit(out) for out in forward(x.to(self._dtype))])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _encode_new_texts(self, texts: list[str]) -> Vectors:
        import torch

        tokens = self._words([self._cut(text) for text in texts]).to(self._device)
        with torch.inference_mode():
            return self._to_unit(encode_tokens(self._model, tokens))

    def _cut(self, text: str) -> str:
        """The text's first words that fit the model; the text itself where it fits."""
        if self._words.count(text) == 0:
            raise InputError(f"The text {text!r} holds nothing to read. Describe it in words.")
        if self.room(text) >= 0:
            return text
        words = text.split()

        def too_long(n: int) -> bool:
            return self.room(" ".join(words[:n])) < 0

        # The first word stays however long it is; the tokenizer then cuts within it.
        kept = bisect_left(range(2, len(words)), True, key=too_long) + 1
        logger.warning(
            "The model reads %d tokens: of this text only the first %d of %d words count: %.60s…",
            self._words.length,
            kept,
            len(words),
            text,
        )
        return " ".join(words[:kept])

    def _to_unit(self, features: "Tensor") -> Vectors:
        import torch.nn.functional as F

        vectors: Vectors = F.normalize(features.float(), dim=-1).cpu().numpy()
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"{self.name} answers with numbers that are not finite. Its weights are damaged, "
                f"or {self._dtype} is too narrow for it: load it with precision='fp32'."
            )
        return vectors


def _file_of(
    record: "ModelRecord",
    weights: str | Path | None,
    progress: Callable[[int, int], None] | None,
) -> Path:
    """The weights of a record: the file that was named, the record's own, or the hub's."""
    from keenkite.encoder.hub import fetch
    from keenkite.encoder.words import require_transformers

    # Before anything is fetched, which takes minutes.
    require_transformers(record.name, record.config()["text_cfg"])
    if weights is not None:
        return Path(weights).expanduser()
    if isinstance(record.source, Path):
        return record.source
    return fetch(record.source, progress=progress)


if TYPE_CHECKING:
    _clip_encoder_is_an_encoder: type[Encoder] = ClipEncoder

"""Tiles and texts to vectors of one space, so that a text can find a tile."""

import logging
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keenkite.encoder.devices import Precision, choose_device
from keenkite.encoder.protocol import Encoder, Rgb, Vectors
from keenkite.encoder.tokens import encode_tokens
from keenkite.errors import InputError, ModelError
from keenkite.tiling import TILE

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from keenkite.encoder.models import ModelRecord

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
        import torch
        from open_clip import SimpleTokenizer

        config = record.config()
        self.name = record.name
        """The record's name; for a checkpoint of one's own, architecture@hash of the file."""
        self.dim: int = config["embed_dim"]
        """The length of every vector."""
        self._model: Any = model.to(device=device, dtype=dtype)
        self._device = device
        self._dtype = dtype
        # Only the memory of texts is guarded: a forward pass changes nothing, and a query must
        # not wait for a batch of tiles.
        self._lock = threading.Lock()
        text_config = config["text_cfg"]
        self._context: int = text_config.get("context_length", 77)
        self._tokenizer = SimpleTokenizer(
            context_length=self._context, **text_config.get("tokenizer_kwargs", {})
        )
        self._texts: OrderedDict[str, Vectors] = OrderedDict()
        # (pixel / 255 - mean) / std as one multiplication and one addition.
        std = torch.tensor(record.std, device=device).view(3, 1, 1)
        self._scale = 1 / (255 * std)
        self._shift = -torch.tensor(record.mean, device=device).view(3, 1, 1) / std

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
            name: A record ("remoteclip-vit-b-32", "remoteclip-vit-l-14", "georsclip-vit-b-32",
                "georsclip-vit-l-14", "keenkite-tiny"), an open_clip tag ("ViT-B-16:openai"), an
                architecture with a checkpoint ("ViT-B-32-quickgelu:/path/file.pt"), or a path.
            device: "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "cuda", "cuda:1", "mps".
            weights: A file to read the weights from, instead of downloading them.
            precision: "auto" is fp16 on CUDA and MPS; on the CPU bf16 where it has instructions
                for it, and fp32 otherwise.
            progress: Called with (bytes so far, bytes in all) while weights download, instead of
                the bar on stderr.

        Raises:
            InputError: There is no such model, device or precision.
            ModelError: The weights cannot be had, or are not this model's.
        """
        from keenkite.encoder import hub, models
        from keenkite.encoder import weights as files

        place, dtype = choose_device(device, precision)
        found = models.find_record(str(name))
        if isinstance(found, models.ModelRecord):
            if weights is not None:
                path = Path(weights).expanduser()
            elif isinstance(found.source, Path):
                path = found.source
            else:
                path = hub.fetch(found.source, progress=progress)
            state = files.read_checkpoint(path)
            record = found
        elif weights is not None:
            raise InputError(f"Two checkpoints are named: {found} and {weights}. Name one.")
        else:
            path = found
            state = files.read_checkpoint(path)
            record = models.record_of_checkpoint(path, state)
        model = files.build_model(record, state, path)
        return cls(record, model, device=place, dtype=dtype)

    def encode_images(self, rgb: Rgb) -> Vectors:
        """uint8 (n, 224, 224, 3) -> float32 (n, dim), unit norm; n may be 0.

        Raises:
            InputError: Another dtype or shape.
            ModelError: The model answers with numbers that are not finite.
        """
        (vectors,) = self._run(rgb, lambda x: (self._model.visual(x),))
        return vectors

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """n strings -> float32 (n, dim), unit norm; n may be 0.

        A text of more tokens than the model reads (77) is cut after a word, with a warning in
        the log.

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

    def patch_features(self, rgb: Rgb, *, grid_scale: int = 1) -> Vectors:
        """ClearCLIP features: uint8 (n, 224, 224, 3) -> float32 (n, rows, cols, dim), unit norm.

        Row 0 is the top of the tile. 7 × 7 patches for ViT-B/32, 16 × 16 for ViT-L/14.

        Args:
            rgb: Tiles.
            grid_scale: 2 gives twice as many rows and columns, for four times the work and more:
                the tile is enlarged to 448 px and the model's position embeddings are
                interpolated to fit, which it was not trained for.

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
            enlarge=grid_scale,
        )
        return patches

    def encode_with_patches(self, rgb: Rgb) -> tuple[Vectors, Vectors]:
        """`encode_images` and `patch_features` from one pass: about the time of either alone."""
        from keenkite.encoder import clearclip

        vectors, patches = self._run(
            rgb, lambda x: clearclip.trunk_and_patches(self._model.visual, x)
        )
        return vectors, patches

    def _run(
        self,
        rgb: Rgb,
        forward: "Callable[[Tensor], tuple[Tensor, ...]]",
        *,
        enlarge: int = 1,
    ) -> list[Vectors]:
        """Normalised batches through `forward`; its outputs as unit vectors, batches joined."""
        import torch
        import torch.nn.functional as F

        if rgb.dtype != np.uint8 or rgb.ndim != 4 or rgb.shape[1:] != (TILE, TILE, 3):
            raise InputError(
                f"Images are uint8 of shape (n, {TILE}, {TILE}, 3); these are {rgb.dtype} of "
                f"shape {rgb.shape}. Cut and scale them first."
            )
        if len(rgb) == 0:  # open_clip cannot; the shapes are those of one image's answer
            one = np.zeros((1, TILE, TILE, 3), np.uint8)
            return [out[:0] for out in self._run(one, forward, enlarge=enlarge)]
        size = max(1, _BATCH[self._device.type] // enlarge**2)
        batches: list[list[Vectors]] = []
        with torch.inference_mode():
            for start in range(0, len(rgb), size):
                # A copy: torch warns of arrays it may not write to.
                pixels = torch.from_numpy(rgb[start : start + size].copy()).permute(0, 3, 1, 2)
                if enlarge > 1:  # on the CPU, where bytes are rounded and clipped as in pillow
                    pixels = F.interpolate(
                        pixels, scale_factor=enlarge, mode="bicubic", antialias=True
                    )
                x = pixels.to(self._device).to(torch.float32) * self._scale + self._shift
                batches.append([self._to_unit(out) for out in forward(x.to(self._dtype))])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _encode_new_texts(self, texts: list[str]) -> Vectors:
        import torch

        tokens = self._tokenizer([self._cut(text) for text in texts]).to(self._device)
        with torch.inference_mode():
            return self._to_unit(encode_tokens(self._model, tokens))

    def _cut(self, text: str) -> str:
        """The text's first words that fit the model; the text itself where it fits."""

        def count(words: list[str]) -> int:
            return len(self._tokenizer.encode(" ".join(words)))

        room = self._context - 2  # a start and an end token
        words = text.split()
        total = count(words)
        if total == 0:
            raise InputError(f"The text {text!r} holds nothing to read. Describe it in words.")
        if total <= room:
            return text
        # The first word stays however long it is; the tokenizer then cuts within it.
        kept = bisect_right(range(2, len(words)), room, key=lambda n: count(words[:n])) + 1
        logger.warning(
            "The model reads %d tokens: of this text only the first %d of %d words count: %.60s…",
            self._context,
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


if TYPE_CHECKING:
    _clip_encoder_is_an_encoder: type[Encoder] = ClipEncoder

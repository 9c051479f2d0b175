"""Texts to tokens: CLIP's own tokenizer, or one of the transformers package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from keenkite.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_OPTIONS = {"clean", "strip_sep_token", "additional_special_tokens"}
"""What a configuration may ask of its tokenizer. It may come from a stranger's repository, and
among the others are some that run code or fetch more (trust_remote_code, reduction_mask)."""


class Words(Protocol):
    """How a model reads texts."""

    @property
    def length(self) -> int:
        """The most tokens that it reads, its marks of start and end counted."""

    @property
    def marks(self) -> int:
        """How many tokens it adds to those of a text."""

    def count(self, text: str) -> int:
        """Tokens of a text by itself."""

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """n texts -> int64 (n, length); longer ones are cut."""


def words_of(name: str, text_config: Mapping[str, Any], length: int) -> Words:
    """The tokenizer of a model.

    Args:
        name: The model's, for messages.
        text_config: `text_cfg` of its open_clip configuration.
        length: Of its text tower, in tokens.

    Raises:
        ModelError: It needs the transformers package, which is not installed; its files cannot be
            had; or the configuration asks for what is not done here.
    """
    options = dict(text_config.get("tokenizer_kwargs") or {})
    if strange := sorted(set(options) - _OPTIONS):
        raise ModelError(
            f"{name}: its configuration asks its tokenizer for {', '.join(strange)}, which "
            f"keenkite does not do. Choose another model."
        )
    source = text_config.get("hf_tokenizer_name")
    if not source:
        return ClipWords(length, options)
    require_transformers(name, text_config)
    return HubWords(name, source, length, options, mode=text_config.get("tokenizer_mode"))


def require_transformers(name: str, text_config: Mapping[str, Any]) -> None:
    """ModelError where a model's tokenizer needs the transformers package and it is not there."""
    if text_config.get("hf_tokenizer_name") and find_spec("transformers") is None:
        raise ModelError(
            f"{name}: its texts need a tokenizer of the transformers package, which is not "
            f"installed. Install it with: pip install 'keenkite[siglip]'. Or choose a model with "
            f"CLIP's own tokenizer, such as ViT-B-16."
        )


class ClipWords:
    """The tokenizer of CLIP, which comes with open_clip."""

    marks = 2
    """A start and an end."""

    def __init__(self, length: int, options: Mapping[str, Any]) -> None:
        from open_clip import SimpleTokenizer

        self.length = length
        self._tokenizer = SimpleTokenizer(context_length=length, **options)

    def count(self, text: str) -> int:
        """Tokens of a text by itself."""
        return len(self._tokenizer.encode(text))

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """n texts -> int64 (n, length); longer ones are cut."""
        tokens: Tensor = self._tokenizer(list(texts))
        return tokens


class HubWords:
    """A tokenizer of the Hugging Face hub as open_clip uses it; a folder of its files will do."""

    def __init__(
        self,
        name: str,
        source: str,
        length: int,
        options: Mapping[str, Any],
        *,
        mode: str | None = None,
    ) -> None:
        self.length = length
        self._tokenizer = _from_hub(name, source, length, options, mode)
        plain = self._tokenizer.tokenizer
        self.marks: int = 3 if mode == "clips" else plain.num_special_tokens_to_add()

    def count(self, text: str) -> int:
        """Tokens of a text by itself."""
        plain, cleaned = self._tokenizer.tokenizer, self._tokenizer.clean_fn(text)
        return len(plain(cleaned, add_special_tokens=False, verbose=False).input_ids)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """n texts -> int64 (n, length); longer ones are cut."""
        tokens: Tensor = self._tokenizer(list(texts))
        return tokens


def _from_hub(
    name: str, source: str, length: int, options: Mapping[str, Any], mode: str | None
) -> Any:
    """open_clip's HFTokenizer, from the cache if it is there, like weights."""
    from open_clip.tokenizer import HFTokenizer

    problem: Exception | None = None
    for local in (True, False):
        try:
            return HFTokenizer(
                source,
                context_length=length,
                tokenizer_mode=mode,
                local_files_only=local,
                trust_remote_code=False,  # no code of a repository is run
                **options,
            )
        except (OSError, ValueError, ImportError, LookupError, TypeError, RuntimeError) as error:
            problem = error
    reason = str(problem).strip().split("\n")[0]
    raise ModelError(
        f"{name}: its tokenizer {source} on the Hugging Face hub cannot be had: {reason}. Either "
        f"connect this machine to the network, or copy the Hugging Face cache (HF_HOME) of one "
        f"that has it."
    ) from problem

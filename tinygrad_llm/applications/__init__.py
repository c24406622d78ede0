"""What a trained model is good for, in one call each."""

from .alignment import alignment
from .attention_maps import attention_weights
from .content_filter import Category, ContentFilter, FilteredText, Finding, load_filter
from .embed import SentenceEncoder
from .fill_mask import Guess, fill_mask
from .look import LogitLens, Look, look
from .search import Hit, SearchIndex
from .translate import Translation, translate

__all__ = [
    "Category",
    "ContentFilter",
    "FilteredText",
    "Finding",
    "Guess",
    "Hit",
    "LogitLens",
    "Look",
    "SearchIndex",
    "SentenceEncoder",
    "Translation",
    "alignment",
    "attention_weights",
    "fill_mask",
    "load_filter",
    "look",
    "translate",
]

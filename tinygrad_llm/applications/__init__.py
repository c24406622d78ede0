"""What a trained model is good for, in one call each."""

from .embed import SentenceEncoder
from .fill_mask import Guess, fill_mask
from .search import Hit, SearchIndex

__all__ = ["Guess", "Hit", "SearchIndex", "SentenceEncoder", "fill_mask"]

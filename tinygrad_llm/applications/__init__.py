"""What a trained model is good for, in one call each."""

from .alignment import alignment
from .embed import SentenceEncoder
from .fill_mask import Guess, fill_mask
from .search import Hit, SearchIndex
from .translate import Translation, translate

__all__ = ["Guess", "Hit", "SearchIndex", "SentenceEncoder", "Translation", "alignment", "fill_mask", "translate"]

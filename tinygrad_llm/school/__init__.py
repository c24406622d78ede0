"""The school: lessons as scripts in cells, exercises that are graded as a teacher would, and where the learner stands.

The lessons themselves are in the folder `lessons` of the repository. `tinygrad-llm lessons` shows them.
"""

from .catalogue import Lesson, all_lessons, find_lesson, lessons_folder
from .checks import WrongAnswer, demand, exercise, expect, for_all, for_all_gradients, search
from .excerpt import from_lesson
from .figures import figure_path, save_figure, show_figure
from .grading import Result, grade_exercise
from .progress import Progress

__all__ = [
    "Lesson",
    "Progress",
    "Result",
    "WrongAnswer",
    "all_lessons",
    "demand",
    "exercise",
    "expect",
    "figure_path",
    "find_lesson",
    "for_all",
    "for_all_gradients",
    "from_lesson",
    "grade_exercise",
    "lessons_folder",
    "save_figure",
    "search",
    "show_figure",
]

"""A pretrained model, fine-tuned for one task or for several at once: examples in, models for each task out.

joint = Joint(base, tokenizer, [Job("topic", Classify.of(topics.train), topics), Job("grade", …)], 128, config)
for report in joint.train():
    print(report.step, report.score, joint.scores)            # {"topic": 0.81, "grade": 0.4}
joint.models["topic"].predict(topics.test)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.stratify import ExampleSplit
from ..models import BERT, GPT, Llama
from .fine_tuned import FineTuned
from .finetune import Evaluated, FineTuneConfig, fine_tune
from .multi_task import MultiTask, task_batches, task_loss
from .tasks import Classify, FindAnswer, Grade
from .text_batches import Tokenizer


@dataclass(frozen=True)
class Job:
    """A task, and the examples to train, to stop and to test by."""

    name: str
    task: Classify | Grade | FindAnswer
    split: ExampleSplit


class Joint:
    """One base, which is trained along, and a head for each job. `steps` counts the batches of each."""

    def __init__(
        self,
        base: GPT | BERT | Llama,
        tokenizer: Tokenizer,
        jobs: Sequence[Job],
        max_seq_len: int,
        config: FineTuneConfig,
        dropout: float = 0.1,
        temperature: float = 2.0,
    ):
        self.jobs, self.config, self.dropout, self.temperature = list(jobs), config, dropout, temperature
        self.rng = np.random.default_rng(config.seed)
        self.models = {
            job.name: FineTuned(
                job.task.new_model(base, job.split.train, dropout, self.rng), tokenizer, job.task, max_seq_len
            )
            for job in jobs
        }
        self.model = MultiTask(base, {name: each.model for name, each in self.models.items()})
        self.steps: Counter[str] = Counter()
        self.scores: dict[str, float] = {}  # of each task, at the last evaluation

    @property
    def n_steps(self) -> int:
        """At most; training may end earlier."""
        return self.config.n_steps(self._n_examples)

    @property
    def _n_examples(self) -> int:
        return sum(len(job.split.train) for job in self.jobs)

    def train(self) -> Iterator[Evaluated]:
        """As `fine_tune`. The score is the mean of the tasks': each is at most 1."""
        return fine_tune(self.model, self._batches(), self._score, self.config, self._n_examples, task_loss)

    def _batches(self) -> Iterator[tuple]:
        sizes = {job.name: len(job.split.train) for job in self.jobs}
        batches = {
            job.name: job.task.batches(
                self.models[job.name].tokenizer,
                job.split.train,
                self.models[job.name].max_seq_len,
                self.config.batch_size,
                self.rng,
            )
            for job in self.jobs
        }
        for batch in task_batches(batches, sizes, self.temperature, self.rng):
            self.steps[batch[-1]] += 1
            yield batch

    def _score(self) -> float:
        for job in self.jobs:
            predicted = self.models[job.name].predict(job.split.validation)
            self.scores[job.name] = job.task.score(job.split.validation, predicted)
        return float(np.mean(list(self.scores.values())))

"""The commands: what each does, in a line, and how it is used."""

from __future__ import annotations

from .finetune_options import PREDICTING

COMMANDS = {
    "pretrain": "train a GPT, a Llama or a BERT from nothing on text, or an encoder-decoder on pairs",
    "scale": "find which size of model is best for your text and minutes, by many small runs",
    "generate": "let a trained model write",
    "fill-mask": "let a BERT guess the blanks of a text",
    "look": "see what a model sees: probabilities, attention, and what each block would have said",
    "evaluate": "measure a trained model: loss, and bits per byte or blanks guessed",
    "audit": "measure bias, memorisation, calibration and harmful output of a model",
    "filter": "find insults, threats, private data and other unwanted content in texts",
    "finetune": "adapt a model to a task: classes, grades, or answers in a text",
    "chat": "talk with a model that finetune chat made",
    "classify": "say which class texts are of, by a model that finetune made",
    "grade": "give texts numbers, by a model that finetune made",
    "answer": "find answers in a text, by a model that finetune made",
    "translate": "translate or summarise texts, by an encoder-decoder that pretrain made",
    "embed": "make vectors of texts, by a BERT",
    "search": "find texts by what they mean, by a BERT",
    "quantize": "make a model smaller, by fewer bits for each weight",
    "tokenize": "train a tokenizer, or show the tokens of a text",
    "info": "what this installation, or a run, is made of",
    "lessons": "list the lessons: what you have done, and what is next",
    "lesson": "run a lesson, to read in the terminal",
    "check": "grade your answers to a lesson's exercises",
    "debug": "stop in a lesson with a debugger, and step into the library",
    "notebook": "write a lesson as a Jupyter notebook, and open it",
}
EXAMPLES = {
    "pretrain": """\
        tinygrad-llm pretrain                                    the default: some minutes on a laptop
        tinygrad-llm pretrain --steps 500 --d-model 256          the same with other settings
        tinygrad-llm pretrain --corpus my_book.txt --out my_run  on your own text
        tinygrad-llm pretrain --preset shakespeare-cpu --corpus shakespeare.txt
        tinygrad-llm pretrain --model llama --n-kv-heads 2       Llama's architecture, with grouped queries
        tinygrad-llm pretrain --model bert                       BERT's: it learns to fill blanks
        tinygrad-llm pretrain --preset translate-numbers         an encoder-decoder: it learns to translate
        tinygrad-llm pretrain --preset translate-numbers --pairs phrases.tsv
        mpiexec -n 4 tinygrad-llm pretrain                       four processes, which share each batch
        tinygrad-llm pretrain --tensorboard                      to watch it by: tensorboard --logdir runs
        tinygrad-llm pretrain --resume runs/laptop-1             go on after Ctrl-C
        tinygrad-llm pretrain --resume runs/laptop-1 --steps 8000""",
    "scale": """\
        tinygrad-llm scale                                       ten minutes for a law, and what to do with thirty
        tinygrad-llm scale --minutes 20 --target-minutes 240 --corpus my_book.txt
        tinygrad-llm scale --resume runs/scale                   go on after Ctrl-C
        tinygrad-llm scale --resume runs/scale --target-minutes 60""",
    "generate": """\
        tinygrad-llm generate --run runs/laptop-1 --prompt "The iterator"
        tinygrad-llm generate --run runs/laptop-1 --temperature 0.5 --top-k 20 --n-samples 3
        tinygrad-llm generate --run runs/laptop-1 --prompt "The iterator" --beams 4""",
    "fill-mask": """\
        tinygrad-llm fill-mask "Return the [MASK] of items." --from runs/laptop-1
        tinygrad-llm fill-mask "Return the [MASK] of [MASK]." --from bert-base-uncased --top-k 10 --json""",
    "look": """\
        tinygrad-llm look --from runs/laptop-1 --prompt "The iterator"
        tinygrad-llm look --from runs/chat --chat --prompt "What does json.dumps do?" --max-new-tokens 40
        tinygrad-llm look --from bert-base-uncased --prompt "Return the [MASK] of items."
        tinygrad-llm look --from runs/laptop-1 --prompt "for i in" --layer 2 --head 0 --out seen""",
    "evaluate": """\
        tinygrad-llm evaluate --run runs/laptop-1                    on the text kept back in training
        tinygrad-llm evaluate --run runs/laptop-1 --corpus other.txt""",
    "audit": """\
        tinygrad-llm audit --from runs/laptop-1
        tinygrad-llm audit --from all-MiniLM-L6-v2 --out minilm-audit
        tinygrad-llm audit --plant canaries.json --corpus book.txt --out planted.txt     before pretraining on it
        tinygrad-llm audit --from runs/planted --canaries canaries.json""",
    "filter": """\
        tinygrad-llm filter "You are such a fool." "Kill the child process."
        tinygrad-llm filter train --out my_filter                the built-in examples, and how good that is
        tinygrad-llm filter train --data labelled.csv --text-column text --label-column label --out my_filter
        tinygrad-llm filter "some text" --filter my_filter --json
        tinygrad-llm generate --run runs/laptop-1 --filter my_filter""",
    "finetune": """\
        tinygrad-llm finetune classify --from runs/laptop-1 --data reviews.csv --text-column review --label-column stars
        tinygrad-llm finetune classify --from all-MiniLM-L6-v2 --embedded packages --out my_classifier
        tinygrad-llm finetune answer --from runs/bert-1 --data squad.json
        tinygrad-llm finetune answer --from scratch --embedded questions --rename --by-words
        tinygrad-llm finetune --from all-MiniLM-L6-v2 --task topic=packages --task mood=classify:moods.csv,text=note""",
    "chat": """\
        tinygrad-llm chat --from runs/chat
        echo "What does \'json.dumps\' do?" | tinygrad-llm chat --from runs/chat""",
    "classify": """\
        tinygrad-llm classify "Sort the list in place." --from my_classifier
        tinygrad-llm classify --from my_classifier --file reviews.csv --text-column review --out labels.jsonl""",
    "grade": 'tinygrad-llm grade "Oxygen and iron." --from my_grader',
    "answer": """\
        tinygrad-llm answer "Who wrote it?" --context story.txt --from my_answerer
        tinygrad-llm answer --file questions.jsonl --out answers.jsonl --from my_answerer""",
    "translate": """\
        tinygrad-llm translate "forty-two thousand and seven" --from runs/translate-numbers-1
        tinygrad-llm translate --file numbers.txt --out translated.jsonl --beams 4 --from runs/translate-numbers-1""",
    "embed": """\
        tinygrad-llm embed "Sort the list in place." --from all-MiniLM-L6-v2
        tinygrad-llm embed --file sentences.txt --out vectors.jsonl --from all-MiniLM-L6-v2""",
    "search": """\
        tinygrad-llm search "wait until a thread is done" --from all-MiniLM-L6-v2
        tinygrad-llm search "my question" --in notes.txt --from all-MiniLM-L6-v2""",
    "quantize": """\
        tinygrad-llm quantize --from runs/laptop-1 --out runs/laptop-1-int8
        tinygrad-llm quantize --from all-MiniLM-L6-v2 --out minilm-int8
        tinygrad-llm quantize --from runs/laptop-1 --out laptop-bf16 --dtype bfloat16""",
    "tokenize": """\
        tinygrad-llm tokenize "Hello, world" --from runs/laptop-1
        tinygrad-llm tokenize --train --corpus my_book.txt --vocab-size 1000 --out tokenizer.json
        tinygrad-llm tokenize --train --tokenizer wordpiece --out wordpiece.json
        tinygrad-llm tokenize "Unaffable!" --from bert-base-uncased/vocab.txt""",
    "info": """\
        tinygrad-llm info
        tinygrad-llm info runs/laptop-1""",
    "lessons": "tinygrad-llm lessons",
    "lesson": """\
        tinygrad-llm lesson 01
        tinygrad-llm lesson 05 --pause        wait for Enter after each piece of prose""",
    "check": """\
        tinygrad-llm check                    how far you are
        tinygrad-llm check 05                 grade lessons/exercises/05_….py
        tinygrad-llm check 05 --hint""",
    "debug": "tinygrad-llm debug 04",
    "notebook": """\
        tinygrad-llm notebook 05
        tinygrad-llm notebook 05 --no-open""",
}
OPERANDS = {
    "filter": " [TEXT …]",
    "fill-mask": " TEXT",
    "finetune": " [TASK]",
    "tokenize": " [text]",
    "info": " [FOLDER]",
    "check": " [LESSON]",
}
OPERANDS |= dict.fromkeys(PREDICTING, " [TEXT …]")
OPERANDS |= dict.fromkeys(("lesson", "debug", "notebook"), " LESSON")

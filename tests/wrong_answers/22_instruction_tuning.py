"""Plausible wrong answers to the exercises of lesson 22: each must fail its check."""

import numpy as np


def render_chatml__forgets_the_line_break_after_the_end(messages, add_generation_prompt=False):
    """The next mark follows the last one at once."""
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>" for role, content in messages)
    return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")


def render_chatml__closes_the_prompt(messages, add_generation_prompt=False):
    """An empty answer: the model would go on with the user's next turn."""
    messages = [*messages, ("assistant", "")] if add_generation_prompt else messages
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)


def render_chatml__strips_contents(messages, add_generation_prompt=False):
    """As Llama's templates do, not ChatML's."""
    text = "".join(f"<|im_start|>{role}\n{content.strip()}<|im_end|>\n" for role, content in messages)
    return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")


def render_chatml__always_prompts(messages, add_generation_prompt=False):
    """The argument is not looked at."""
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)
    return text + "<|im_start|>assistant\n"


def inputs_and_targets__masks_by_the_input(pieces):
    """The first token of an answer is never learned, and what follows its end is."""
    ids = np.array([token for piece, _ in pieces for token in piece])
    learned = np.array([is_learned for piece, is_learned in pieces for _ in piece], dtype=bool)
    return ids[:-1], np.where(learned[:-1], ids[1:], -100)


def inputs_and_targets__does_not_shift(pieces):
    """Each token would be its own target: easy to learn, and useless."""
    ids = np.array([token for piece, _ in pieces for token in piece])
    learned = np.array([is_learned for piece, is_learned in pieces for _ in piece], dtype=bool)
    return ids[:-1], np.where(learned, ids, -100)[:-1]


def inputs_and_targets__learns_everything(pieces):
    """The loss of lesson 14: the model learns to ask."""
    ids = np.array([token for piece, _ in pieces for token in piece])
    return ids[:-1], ids[1:]


def inputs_and_targets__learns_the_last_answer_only(pieces):
    """All answers before it are lost."""
    last = max((number for number, (_, is_learned) in enumerate(pieces) if is_learned), default=-1)
    ids = np.array([token for piece, _ in pieces for token in piece])
    learned = np.array([number == last for number, (piece, _) in enumerate(pieces) for _ in piece], dtype=bool)
    return ids[:-1], np.where(learned[1:], ids[1:], -100)


def packed_mask__is_causal_only(lengths, row_length):
    """Later documents see the earlier ones."""
    lengths = [*lengths, *[1] * (row_length - sum(lengths))]
    positions = np.array([position for length in lengths for position in range(length)])
    return positions, np.tri(row_length, dtype=bool)


def packed_mask__looks_ahead(lengths, row_length):
    """Block-diagonal, but not causal: the answer would be known."""
    lengths = [*lengths, *[1] * (row_length - sum(lengths))]
    document = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.array([position for length in lengths for position in range(length)])
    return positions, document[:, None] == document


def packed_mask__goes_on_counting(lengths, row_length):
    """Positions do not start anew."""
    lengths = [*lengths, *[1] * (row_length - sum(lengths))]
    document = np.repeat(np.arange(len(lengths)), lengths)
    return np.arange(row_length), (document[:, None] == document) & np.tri(row_length, dtype=bool)


def packed_mask__tells_documents_by_their_length(lengths, row_length):
    """Two documents of one length see each other."""
    lengths = [*lengths, *[1] * (row_length - sum(lengths))]
    document = np.repeat(lengths, lengths)
    positions = np.array([position for length in lengths for position in range(length)])
    return positions, (document[:, None] == document) & np.tri(row_length, dtype=bool)


def packed_mask__makes_padding_a_document(lengths, row_length):
    """All padding is one document, with positions of its own."""
    lengths = [*lengths, row_length - sum(lengths)]
    document = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.array([position for length in lengths for position in range(length)])
    return positions, (document[:, None] == document) & np.tri(row_length, dtype=bool)


def _lora_numbers(n_layers, d_model, kv, d_ff, ranks, numbers=lambda n_in, n_out, r: r * (n_in + n_out)):
    """The solution, for keys and values of another width, or with another number for a correction."""
    sizes = {"query": (d_model, d_model), "key": (d_model, kv), "value": (d_model, kv), "out": (d_model, d_model)}
    sizes |= {"gate": (d_model, d_ff), "up": (d_model, d_ff), "down": (d_ff, d_model)}
    trained = sum(numbers(*size, ranks.get(name, 0)) for name, size in sizes.items())
    return n_layers * trained, n_layers * sum(n_in * n_out for n_in, n_out in sizes.values())


def lora_numbers__has_keys_for_each_head(n_layers, d_model, n_heads, n_kv_heads, d_ff, ranks):
    """As in a GPT: keys and values as wide as queries."""
    return _lora_numbers(n_layers, d_model, d_model, d_ff, ranks)


def lora_numbers__divides_by_the_heads_of_keys(n_layers, d_model, n_heads, n_kv_heads, d_ff, ranks):
    """n_kv_heads is the number of heads, not how many queries share one."""
    return _lora_numbers(n_layers, d_model, d_model // n_kv_heads, d_ff, ranks)


def lora_numbers__counts_a_only(n_layers, d_model, n_heads, n_kv_heads, d_ff, ranks):
    """Without B."""
    kv = d_model // n_heads * n_kv_heads
    return _lora_numbers(n_layers, d_model, kv, d_ff, ranks, lambda n_in, n_out, r: r * n_in)


def lora_numbers__counts_the_product(n_layers, d_model, n_heads, n_kv_heads, d_ff, ranks):
    """B A has as many numbers as W, but is never made."""
    kv = d_model // n_heads * n_kv_heads
    return _lora_numbers(n_layers, d_model, kv, d_ff, ranks, lambda n_in, n_out, r: n_in * n_out if r else 0)


def lora_numbers__counts_one_block(n_layers, d_model, n_heads, n_kv_heads, d_ff, ranks):
    """All blocks have corrections of their own."""
    return _lora_numbers(1, d_model, d_model // n_heads * n_kv_heads, d_ff, ranks)


def lora_numbers__takes_one_rank_for_all(n_layers, d_model, n_heads, n_kv_heads, d_ff, ranks):
    """The first rank, for each matrix that is named or not."""
    rank = next(iter(ranks.values()), 0)
    names = ("query", "key", "value", "out", "gate", "up", "down")
    return _lora_numbers(n_layers, d_model, d_model // n_heads * n_kv_heads, d_ff, dict.fromkeys(names, rank))


def lora_numbers__trains_all(n_layers, d_model, n_heads, n_kv_heads, d_ff, ranks):
    """The frozen matrices are added to what is trained."""
    trained, frozen = _lora_numbers(n_layers, d_model, d_model // n_heads * n_kv_heads, d_ff, ranks)
    return trained + frozen, frozen


def lora__forgets_the_rank(x, W, A, B, alpha, g):
    """alpha itself is the factor."""
    low = x @ A.T
    return x @ W.T + alpha * low @ B.T, W + alpha * B @ A, alpha * (g @ B).T @ x, alpha * g.T @ low


def lora__forgets_the_scale_in_the_gradients(x, W, A, B, alpha, g):
    """Right forward, too long a step backward."""
    scale, low = alpha / len(A), x @ A.T
    return x @ W.T + scale * low @ B.T, W + scale * B @ A, (g @ B).T @ x, g.T @ low


def lora__multiplies_the_merged_matrix_the_other_way_round(x, W, A, B, alpha, g):
    """A B is (r, r), and fits W only by accident."""
    scale, low = alpha / len(A), x @ A.T
    merged = W + scale * (A.T @ B.T)
    return x @ W.T + scale * low @ B.T, merged, scale * (g @ B).T @ x, scale * g.T @ low


def lora__merges_in_place(x, W, A, B, alpha, g):
    """The frozen matrix is changed, and y has the correction twice."""
    scale, low = alpha / len(A), x @ A.T
    W += scale * B @ A
    return x @ W.T, W, scale * (g @ B).T @ x, scale * g.T @ low


def lora__averages_over_the_rows(x, W, A, B, alpha, g):
    """The gradients are sums: a mean is in g already, where there is one."""
    scale, low = alpha / len(A), x @ A.T
    n = len(x)
    return x @ W.T + scale * low @ B.T, W + scale * B @ A, scale * (g @ B).T @ x / n, scale * g.T @ low / n

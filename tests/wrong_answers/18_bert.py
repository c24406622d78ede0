"""Plausible wrong answers to the exercises of lesson 18: each must fail its check."""

import numpy as np


def word_numbers__counts_special_tokens(tokens, special):
    """The numbers are positions of words among all tokens."""
    numbers, words = [], 0
    for token in tokens:
        words += not (token.startswith("##") and numbers and numbers[-1] >= 0)
        numbers.append(-1 if token in special else words - 1)
    return numbers


def word_numbers__goes_on_after_a_special_token(tokens, special):
    """A piece after [SEP] joins the word before it."""
    numbers, words = [], 0
    for token in tokens:
        if token in special:
            numbers.append(-1)
        else:
            words += not (token.startswith("##") and words)
            numbers.append(words - 1)
    return numbers


def word_numbers__begins_with_minus_one(tokens, special):
    """A window that begins inside a word."""
    numbers, words = [], 0
    for i, token in enumerate(tokens):
        if token in special:
            numbers.append(-1)
            continue
        words += not token.startswith("##") or (i > 0 and tokens[i - 1] in special)
        numbers.append(words - 1)
    return numbers


def word_numbers__looks_for_signs_anywhere(tokens, special):
    """`"##" in token`."""
    numbers, words = [], 0
    for token in tokens:
        if token in special:
            numbers.append(-1)
            continue
        words += not ("##" in token and numbers and numbers[-1] >= 0)
        numbers.append(words - 1)
    return numbers


def _mask(ids, special_ids, mask_id, order, draw, others, share, count=None, edges=(0.8, 0.9), only_ordinary=True):
    ordinary = ~np.isin(ids, list(special_ids)) if only_ordinary else np.ones(ids.shape, bool)
    chosen = np.zeros(ids.shape, bool)
    for b in range(len(ids)):
        (places,) = np.nonzero(ordinary[b])
        n = count(share, places, ids) if count else max(round(share * len(places)), 1)
        chosen[b, places[np.argsort(order[b, places])[:n]]] = True
    seen = np.where(chosen & (draw < edges[0]), mask_id, ids)
    seen = np.where(chosen & (draw >= edges[0]) & (draw < edges[1]), others, seen)
    return seen, np.where(chosen, ids, -100), chosen


def mask_tokens__always_masks(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """100 % [MASK]."""
    return _mask(ids, special_ids, mask_id, order, draw, others, share, edges=(2.0, 2.0))[:2]


def mask_tokens__never_keeps(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """80 / 20 / 0."""
    return _mask(ids, special_ids, mask_id, order, draw, others, share, edges=(0.8, 2.0))[:2]


def mask_tokens__chooses_special_tokens(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """[CLS] may be hidden."""
    return _mask(ids, special_ids, mask_id, order, draw, others, share, only_ordinary=False)[:2]


def mask_tokens__counts_special_tokens(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """The share is of T."""
    return _mask(
        ids, special_ids, mask_id, order, draw, others, share, lambda share, _, ids: max(round(share * ids.shape[1]), 1)
    )[:2]


def mask_tokens__rounds_down(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """int() cuts off."""
    return _mask(
        ids, special_ids, mask_id, order, draw, others, share, lambda share, places, _: max(int(share * len(places)), 1)
    )[:2]


def mask_tokens__may_choose_none(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """Short rows have no blank."""
    return _mask(ids, special_ids, mask_id, order, draw, others, share, lambda share, p, _: round(share * len(p)))[:2]


def mask_tokens__forgets_the_kept_ones(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """No target where the token stays."""
    seen, targets, _ = _mask(ids, special_ids, mask_id, order, draw, others, share)
    return seen, np.where(seen != ids, targets, -100)


def mask_tokens__asks_for_what_is_seen(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """The targets come from the changed row."""
    seen, _, chosen = _mask(ids, special_ids, mask_id, order, draw, others, share)
    return seen, np.where(chosen, seen, -100)


def mask_tokens__asks_for_everything(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """No −100: the copy of visible tokens is rewarded."""
    return _mask(ids, special_ids, mask_id, order, draw, others, share)[0], ids.copy()


def mask_tokens__changes_the_row_itself(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """In place."""
    seen, targets, _ = _mask(ids, special_ids, mask_id, order, draw, others, share)
    ids[...] = seen
    return ids, targets


def mask_tokens__takes_the_largest(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """Sorted the other way."""
    return _mask(ids, special_ids, mask_id, -order, draw, others, share)[:2]


def mask_tokens__has_its_edges_inside(ids, special_ids, mask_id, order, draw, others, share=0.15):
    """<= for <."""
    return _mask(
        ids, special_ids, mask_id, order, draw, others, share, edges=(np.nextafter(0.8, 1), np.nextafter(0.9, 1))
    )[:2]


def _pairs(pairs, cls_id, sep_id, pad_id, max_len, cut="longer", sep_segment=1, none_is_empty=False):
    rows, row_segments = [], []
    for first, second in pairs:
        if none_is_empty and second is None:
            second = []
        a, b = len(first), len(second or [])
        while a + b + (2 if second is None else 3) > max_len:
            if {"longer": a > b, "first": a > 0, "second": b == 0, "tie": a >= b}[cut]:
                a -= 1
            else:
                b -= 1
        row = [cls_id, *first[:a], sep_id]
        tail = [] if second is None else [*second[:b], sep_id]
        rows.append(row + tail)
        row_segments.append([0] * len(row) + [1] * max(len(tail) - 1, 0) + [sep_segment] * bool(tail))
    shape = (len(rows), max(map(len, rows)))
    ids, mask, segments = np.full(shape, pad_id, np.int64), np.zeros(shape, bool), np.zeros(shape, np.int64)
    for b, row in enumerate(rows):
        ids[b, : len(row)], mask[b, : len(row)], segments[b, : len(row)] = row, True, row_segments[b]
    return ids, mask, segments


def pair_batch__takes_the_mask_from_the_ids(pairs, cls_id, sep_id, pad_id, max_len):
    """ids != pad_id."""
    ids, _, segments = _pairs(pairs, cls_id, sep_id, pad_id, max_len)
    return ids, ids != pad_id, segments


def pair_batch__has_padding_in_segment_one(pairs, cls_id, sep_id, pad_id, max_len):
    """The second segment never ends."""
    ids, mask, segments = _pairs(pairs, cls_id, sep_id, pad_id, max_len)
    return ids, mask, np.where(mask, segments, segments.max(axis=1, keepdims=True))


def pair_batch__gives_the_last_separator_to_the_first(pairs, cls_id, sep_id, pad_id, max_len):
    """Segment 0 at the second [SEP]."""
    return _pairs(pairs, cls_id, sep_id, pad_id, max_len, sep_segment=0)


def pair_batch__adds_a_second_separator_always(pairs, cls_id, sep_id, pad_id, max_len):
    """None is taken as an empty text."""
    return _pairs(pairs, cls_id, sep_id, pad_id, max_len, none_is_empty=True)


def pair_batch__cuts_the_end(pairs, cls_id, sep_id, pad_id, max_len):
    """row[:max_len]: the last [SEP] is lost."""
    return tuple(each[:, :max_len] for each in _pairs(pairs, cls_id, sep_id, pad_id, 999))


def pair_batch__cuts_the_second(pairs, cls_id, sep_id, pad_id, max_len):
    """The second text first, whichever is longer."""
    return _pairs(pairs, cls_id, sep_id, pad_id, max_len, cut="second")


def pair_batch__cuts_the_first(pairs, cls_id, sep_id, pad_id, max_len):
    """The first text first."""
    return _pairs(pairs, cls_id, sep_id, pad_id, max_len, cut="first")


def pair_batch__cuts_the_texts_that_it_is_given(pairs, cls_id, sep_id, pad_id, max_len):
    """The right result, but the caller's texts are shorter afterwards."""
    result = _pairs(pairs, cls_id, sep_id, pad_id, max_len)
    for first, second in pairs:
        while len(first) + len(second or []) + (2 if second is None else 3) > max_len:
            (first if len(first) > len(second or []) else second).pop()
    return result


def pair_batch__pads_to_max_len(pairs, cls_id, sep_id, pad_id, max_len):
    """T is max_len, always."""
    ids, mask, segments = _pairs(pairs, cls_id, sep_id, pad_id, max_len)
    more = ((0, 0), (0, max_len - ids.shape[1]))
    return np.pad(ids, more, constant_values=pad_id), np.pad(mask, more), np.pad(segments, more)


def pair_batch__pads_with_zeros(pairs, cls_id, sep_id, pad_id, max_len):
    """pad_id is forgotten."""
    ids, mask, segments = _pairs(pairs, cls_id, sep_id, pad_id, max_len)
    return np.where(mask, ids, 0), mask, segments


def pair_batch__hides_the_tokens(pairs, cls_id, sep_id, pad_id, max_len):
    """The mask the other way round, as PyTorch's modules have it."""
    ids, mask, segments = _pairs(pairs, cls_id, sep_id, pad_id, max_len)
    return ids, ~mask, segments


def _log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _hidden(ids, special_ids, mask_id):
    places = np.flatnonzero(~np.isin(ids, list(special_ids)))
    hidden = np.tile(ids, (len(places), 1))
    hidden[np.arange(len(places)), places] = mask_id
    return places, hidden


def pseudo_log_likelihood__hides_nothing(logits_of, ids, special_ids, mask_id):
    """The token is in plain sight."""
    places, _ = _hidden(ids, special_ids, mask_id)
    return float(_log_softmax(logits_of(ids[None]))[0, places, ids[places]].sum()) if len(places) else 0.0


def pseudo_log_likelihood__hides_all_at_once(logits_of, ids, special_ids, mask_id):
    """One pass, in which no token sees another."""
    places, _ = _hidden(ids, special_ids, mask_id)
    blank = ids.copy()
    blank[places] = mask_id
    return float(_log_softmax(logits_of(blank[None]))[0, places, ids[places]].sum()) if len(places) else 0.0


def pseudo_log_likelihood__hides_equal_tokens_together(logits_of, ids, special_ids, mask_id):
    """ids == token."""
    total = 0.0
    for t in np.flatnonzero(~np.isin(ids, list(special_ids))):
        total += _log_softmax(logits_of(np.where(ids == ids[t], mask_id, ids)[None]))[0, t, ids[t]]
    return float(total)


def pseudo_log_likelihood__asks_for_special_tokens(logits_of, ids, special_ids, mask_id):
    """[CLS] and [SEP] count."""
    places, hidden = _hidden(ids, set(), mask_id)
    return float(_log_softmax(logits_of(hidden))[np.arange(len(places)), places, ids[places]].sum())


def pseudo_log_likelihood__takes_the_mean(logits_of, ids, special_ids, mask_id):
    """Per token."""
    places, hidden = _hidden(ids, special_ids, mask_id)
    if len(places) == 0:
        return 0.0
    return float(_log_softmax(logits_of(hidden))[np.arange(len(places)), places, ids[places]].mean())


def pseudo_log_likelihood__overflows(logits_of, ids, special_ids, mask_id):
    """e^score of large scores."""
    places, hidden = _hidden(ids, special_ids, mask_id)
    if len(places) == 0:
        return 0.0
    with np.errstate(all="ignore"):
        e = np.exp(logits_of(hidden))
        p = e / e.sum(axis=-1, keepdims=True)
        return float(np.log(p[np.arange(len(places)), places, ids[places]]).sum())


def pseudo_log_likelihood__counts_the_scores_of_the_blank(logits_of, ids, special_ids, mask_id):
    """The probability of [MASK] itself."""
    places, hidden = _hidden(ids, special_ids, mask_id)
    if len(places) == 0:
        return 0.0
    return float(_log_softmax(logits_of(hidden))[np.arange(len(places)), places, mask_id].sum())

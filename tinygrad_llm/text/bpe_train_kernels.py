"""The kernels that learn merges: how they find the next pair, and the places where it stands, without searching.

All distinct words stand one after another in a row of tokens, as in bpe_merge_kernels. What is known of a pair is
in its row of `pairs`: its COUNT, and the FIRST and LAST place where it stands. What is known of a place is in its row
of `places`: the PAIR that begins there, and the PREVIOUS and NEXT place where that same pair stands. So a place leaves
the list of its pair and enters another one in a few steps, and the counts are exact after each merge.

All places of a pair come into being with the younger of its two tokens, in one merge that goes from left to right.
Hence two things: a list is always in the order of the places, and a pair that has gone never comes back.
"""

from ..kernel import kernel
from .bpe_merge_kernels import EMPTY, END, MERGED, after, before, key_of, slot_of

COUNT, FIRST, LAST = 0, 1, 2
PAIR, PREVIOUS, NEXT = 0, 1, 2
NONE = -1
N_MERGES, N_PAIRS, HEAP_SIZE, IS_FULL = 0, 1, 2, 3  # the progress made, in `state`


@kernel
def count_pairs_kernel(places, keys, pairs, heap, state, row, weights, min_frequency):
    """Enter all pairs of neighbours of `row`; `weights` says how often the word of each place occurs."""
    for place in range(len(row) - 1):
        if row[place] != END and row[place + 1] != END:
            slot = slot_of(keys, key_of(row[place], row[place + 1]))
            if keys[slot] == EMPTY:
                new_pair(keys, pairs, slot, key_of(row[place], row[place + 1]))
                state[N_PAIRS] += 1
            append(places, pairs, place, slot, weights[place])
    fill_heap(heap, state, keys, pairs, min_frequency)


@kernel
def learn_kernel(merges, places, keys, pairs, heap, state, new_pairs, row, weights, min_frequency):
    """Merge the most frequent pair, over and over: until all of `merges` are written, no pair is frequent enough
    any more, or `pairs` might get too full in another merge: then it IS_FULL, and move_kernel makes room."""
    while state[N_MERGES] < len(merges):
        new = 256 + state[N_MERGES]
        if 2 * (state[N_PAIRS] + 2 * new + 1) > len(keys):  # any token may come to stand on either side of the new one
            state[IS_FULL] = 1
            return
        slot = pop_most_frequent(heap, state, keys, pairs, min_frequency)
        if slot == NONE:
            return
        merges[state[N_MERGES], 0] = keys[slot] >> 32
        merges[state[N_MERGES], 1] = keys[slot] & 0xFFFFFFFF
        state[N_MERGES] += 1
        n_new = merge_everywhere(places, keys, pairs, new_pairs, row, weights, slot, new)
        state[N_PAIRS] += n_new
        for i in range(n_new):
            if pairs[new_pairs[i], COUNT] >= min_frequency:
                push(heap, state[HEAP_SIZE], -pairs[new_pairs[i], COUNT], keys[new_pairs[i]])
                state[HEAP_SIZE] += 1


@kernel
def pop_most_frequent(heap, state, keys, pairs, min_frequency):
    """The most frequent pair, the one of smaller ids first. A count in the heap may be stale, but only too high."""
    while state[HEAP_SIZE] > 0:
        count, key = -heap[0, 0], heap[0, 1]
        pop(heap, state[HEAP_SIZE])
        state[HEAP_SIZE] -= 1
        slot = slot_of(keys, key)
        if pairs[slot, COUNT] == count:
            return slot
        if pairs[slot, COUNT] >= min_frequency:
            push(heap, state[HEAP_SIZE], -pairs[slot, COUNT], key)
            state[HEAP_SIZE] += 1
    return NONE


@kernel
def merge_everywhere(places, keys, pairs, new_pairs, row, weights, slot, new):
    """Put the token `new` wherever the pair stands. Returns how many new pairs there are, in `new_pairs`."""
    n_new = 0
    while pairs[slot, FIRST] != NONE:
        left = pairs[slot, FIRST]
        right = after(row, left)
        weight = weights[left]
        remove(places, pairs, left, weight)
        row[left] = new
        for place in (before(row, left), right):  # the pairs with the tokens around
            if row[place] != END and row[after(row, place)] != END:
                remove(places, pairs, place, weight)
        row[right] = MERGED
        for place in (before(row, left), left):
            if row[place] != END and row[after(row, place)] != END:
                key = key_of(row[place], row[after(row, place)])
                new_slot = slot_of(keys, key)
                if keys[new_slot] == EMPTY:
                    new_pair(keys, pairs, new_slot, key)
                    new_pairs[n_new] = new_slot
                    n_new += 1
                append(places, pairs, place, new_slot, weight)
    return n_new


@kernel
def new_pair(keys, pairs, slot, key):
    keys[slot] = key
    pairs[slot, COUNT] = 0
    pairs[slot, FIRST] = NONE
    pairs[slot, LAST] = NONE


@kernel
def append(places, pairs, place, slot, weight):
    """`place` becomes the last one in the list of the pair in `slot`."""
    last = pairs[slot, LAST]
    places[place, PAIR] = slot
    places[place, PREVIOUS] = last
    places[place, NEXT] = NONE
    if last == NONE:
        pairs[slot, FIRST] = place
    else:
        places[last, NEXT] = place
    pairs[slot, LAST] = place
    pairs[slot, COUNT] += weight


@kernel
def remove(places, pairs, place, weight):
    """`place` leaves the list of its pair."""
    slot, previous, following = places[place, PAIR], places[place, PREVIOUS], places[place, NEXT]
    if previous == NONE:
        pairs[slot, FIRST] = following
    else:
        places[previous, NEXT] = following
    if following == NONE:
        pairs[slot, LAST] = previous
    else:
        places[following, PREVIOUS] = previous
    pairs[slot, COUNT] -= weight


@kernel
def move_kernel(places, keys, pairs, heap, state, old_keys, old_pairs, min_frequency):
    """Enter the pairs that still stand somewhere in a new table, with their lists."""
    state[N_PAIRS] = 0
    state[IS_FULL] = 0
    for old in range(len(old_pairs)):
        if old_keys[old] != EMPTY and old_pairs[old, FIRST] != NONE:
            slot = slot_of(keys, old_keys[old])
            keys[slot] = old_keys[old]
            for column in range(old_pairs.shape[1]):
                pairs[slot, column] = old_pairs[old, column]
            state[N_PAIRS] += 1
            place = pairs[slot, FIRST]
            while place != NONE:
                places[place, PAIR] = slot
                place = places[place, NEXT]
    fill_heap(heap, state, keys, pairs, min_frequency)


@kernel
def fill_heap(heap, state, keys, pairs, min_frequency):
    """The heap holds each pair once that is frequent enough, as (-count, key)."""
    state[HEAP_SIZE] = 0
    for slot in range(len(pairs)):
        if keys[slot] != EMPTY and pairs[slot, COUNT] >= min_frequency:
            push(heap, state[HEAP_SIZE], -pairs[slot, COUNT], keys[slot])
            state[HEAP_SIZE] += 1


@kernel
def push(heap, size, first, second):
    """Put (first, second) in a binary heap of `size` entries: the smallest is entry 0."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if not comes_before(first, second, heap[parent, 0], heap[parent, 1]):
            break
        heap[place, 0] = heap[parent, 0]
        heap[place, 1] = heap[parent, 1]
        place = parent
    heap[place, 0] = first
    heap[place, 1] = second


@kernel
def pop(heap, size):
    """Take entry 0 out of a heap of `size` entries: the last one sinks from there to where it belongs."""
    first, second = heap[size - 1, 0], heap[size - 1, 1]
    place, child = 0, 1
    while child < size - 1:
        other = child + 1
        if other < size - 1 and comes_before(heap[other, 0], heap[other, 1], heap[child, 0], heap[child, 1]):
            child = other
        if not comes_before(heap[child, 0], heap[child, 1], first, second):
            break
        heap[place, 0] = heap[child, 0]
        heap[place, 1] = heap[child, 1]
        place, child = child, 2 * child + 1
    heap[place, 0] = first
    heap[place, 1] = second


@kernel
def comes_before(first, second, other_first, other_second):
    return first < other_first or (first == other_first and second < other_second)

"""The kernels that apply merges to words, and what they share with those that learn merges.

Tokens stand in a row, with END at both ends of a word. A table of pairs is a hash table with open addressing: `keys`,
and in other arrays what is known of the pair in the same slot. Most pairs asked for are not in the table, and `keys`
alone tells so: it stays in the processor's cache.
"""

from ..kernel import kernel

END, MERGED = -2, -1  # in a row of tokens
EMPTY = -1  # the key of a free slot in a table of pairs
NO_MERGE = 1 << 62  # larger than any merge
LONG_WORD = 32  # bytes


@kernel
def encode_kernel(out, n_out, text, ends, byte_ids, keys, values, row, merges):
    """The token ids of all words, one word after another. `row` and `merges` are space to work in.

    A byte without a token, whose id is −1, is left out, and its neighbours meet.

    Two ways to merge: most words have a few bytes, where it costs next to nothing to look for the best merge from the
    start each time; but n bytes take n² steps that way, and a word can be long: a line of Thai, a row of dashes.
    """
    n_written, start = 0, 0
    for word in range(len(ends)):
        n = 0
        for i in range(start, ends[word]):
            token = byte_ids[text[i]]
            if token >= 0:
                n += 1
                row[n] = token
        if n < LONG_WORD:
            n = merge_by_scan(row, n, keys, values, merges)
        else:
            n = merge_by_tree(row, n, keys, values, merges)
        for i in range(n):
            out[n_written + i] = row[1 + i]
        n_written += n
        start = ends[word]
    n_out[0] = n_written


@kernel
def merge_by_scan(row, n, keys, values, merges):
    """Merge the `n` tokens from `row[1]` on and return how many are left; `merges[i]` is what i and i + 1 make."""
    for i in range(1, n):
        merges[i] = merge_of(keys, values, row[i], row[i + 1])
    while n > 1:
        left, best = 1, merges[1]
        for i in range(2, n):  # without a branch, which would go either way
            left = i if merges[i] < best else left
            best = min(best, merges[i])
        if best == NO_MERGE:
            break
        row[left] = best & 0xFFFFFFFF
        n -= 1
        for i in range(left + 1, n + 1):
            row[i] = row[i + 1]
            merges[i - 1] = merges[i]
        if left > 1:
            merges[left - 1] = merge_of(keys, values, row[left - 1], row[left])
        if left < n:
            merges[left] = merge_of(keys, values, row[left], row[left + 1])
    return n


@kernel
def merge_by_tree(row, n, keys, values, tree):
    """The same in n log n steps: the merges are the leaves of a binary tree, each node the smaller of its children.

    Node i has the children 2i and 2i + 1, so node 1 is the best merge of all. Nothing in the row moves: a merge writes
    the new token over its left one and MERGED over its right one. The way to a neighbour leads over places that are
    MERGED, no more of them than a token has bytes.
    """
    row[0] = END
    row[n + 1] = END
    leaves = 2
    while leaves <= n:
        leaves *= 2
    for place in range(leaves):
        tree[leaves + place] = merge_at(row, place, keys, values) if place <= n else NO_MERGE
    for node in range(leaves - 1, 0, -1):
        tree[node] = min(tree[2 * node], tree[2 * node + 1])

    while tree[1] != NO_MERGE:
        merge, node = tree[1], 1
        while node < leaves:
            node *= 2
            if tree[node] != merge:  # then it is on the right only
                node += 1
        left = node - leaves
        right = after(row, left)
        row[left] = merge & 0xFFFFFFFF
        row[right] = MERGED
        for place in (before(row, left), left, right):
            change_leaf(tree, leaves + place, merge_at(row, place, keys, values))

    n_left = 0
    for place in range(1, n + 1):
        if row[place] != MERGED:
            n_left += 1
            row[n_left] = row[place]
    return n_left


@kernel
def merge_at(row, place, keys, values):
    """What the token at `place` and the next one make, or NO_MERGE."""
    if row[place] < 0 or row[after(row, place)] == END:
        return NO_MERGE
    return merge_of(keys, values, row[place], row[after(row, place)])


@kernel
def change_leaf(tree, leaf, merge):
    tree[leaf] = merge
    node = leaf >> 1
    while node > 0:
        smaller = min(tree[2 * node], tree[2 * node + 1])
        if tree[node] == smaller:
            break
        tree[node] = smaller
        node >>= 1


@kernel
def merge_of(keys, values, left, right):
    """rank · 2³² + id of the merged token, or NO_MERGE."""
    slot = slot_of(keys, key_of(left, right))
    return NO_MERGE if keys[slot] == EMPTY else values[slot]


@kernel
def after(row, place):
    """The place of the next token, or of END."""
    place += 1
    while row[place] == MERGED:
        place += 1
    return place


@kernel
def before(row, place):
    """The place of the token before, or of END."""
    place -= 1
    while row[place] == MERGED:
        place -= 1
    return place


@kernel
def key_of(left, right):
    """A pair of ids as one integer; keys are in the order of the pairs."""
    return (int(left) << 32) | int(right)


@kernel
def fill_kernel(keys, values, merges):
    """Enter rows of (left id, right id, rank, merged id)."""
    for i in range(len(merges)):
        key = key_of(merges[i, 0], merges[i, 1])
        slot = slot_of(keys, key)
        keys[slot] = key
        values[slot] = key_of(merges[i, 2], merges[i, 3])


@kernel
def slot_of(keys, key):
    """The slot that has this key, or else the free one that it would get."""
    # Both ids go into the lower bits; the products stay below 2⁶³.
    mixed = (key >> 32) * 0x9E3779B1 + (key & 0xFFFFFFFF) * 0x85EBCA6B
    slot = (mixed ^ (mixed >> 15)) & (len(keys) - 1)
    while keys[slot] != key and keys[slot] != EMPTY:
        slot = (slot + 1) & (len(keys) - 1)
    return slot

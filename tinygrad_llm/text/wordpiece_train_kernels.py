"""The kernel that finds the pair whose merge makes the text most likely; merging is done by bpe_train_kernels."""

import math

from ..kernel import kernel


@kernel
def best_pair_kernel(best, n_candidates, candidates, keys, pair_counts, counts, n_total, min_frequency):
    """Write the slot of the best pair into `best[0]`, which stays as it is where there is none.

    `candidates` holds the slots of pairs that were frequent enough so far. Counts of pairs only fall, so those that
    have become too rare leave the list for good, and each merge looks through fewer. The gain of a pair is at most
    count · log(n_total): a count that cannot reach the best gain so far costs no logarithm.
    """
    n_left, best_gain, most = 0, -math.inf, math.log(n_total)
    for i in range(n_candidates[0]):
        slot = candidates[i]
        count = pair_counts[slot]
        if count < min_frequency:
            continue
        candidates[n_left] = slot
        n_left += 1
        if count * most < best_gain:
            continue
        gain = gain_of(count, counts[keys[slot] >> 32], counts[keys[slot] & 0xFFFFFFFF], n_total)
        if gain > best_gain or (gain == best_gain and keys[slot] < keys[best[0]]):
            best_gain = gain
            best[0] = slot
    n_candidates[0] = n_left


@kernel
def gain_of(count, left_count, right_count, n_total):
    return count * math.log((count * n_total) / (float(left_count) * right_count))

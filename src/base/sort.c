/* sort.c - see sort.h.  A bill has few of anything, and mostly in order: what is in order is only
 * looked at, and two runs are merged.  Others are halved and merged, down to blocks: where keys
 * differ in few bits they are dealt out by these as cards are, digit by digit from the lowest, and
 * where the digits are equal they stay in order.
 */
#include "base/sort.h"

#include <string.h>

enum {
    FEW = 16,
    DEALT_MIN = 32,   /* keys of a block that is dealt out: fewer are merged as soon */
    DEALT_MAX = 4096, /* 64 KiB, and as much to spare */
    DIGIT_BITS_MAX = 8,
    DIGITS_MAX = DIGIT_BITS_MAX,
};

static void insert_keys(struct sort_key *keys, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct sort_key key = keys[i];
        uint32_t at = i;
        for (; at > 0 && sort_is_before(&key, &keys[at - 1]); at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
}

/* Of two runs, where the second begins at half.  spare has room for the first. */
static void merge_runs(struct sort_key *keys, uint32_t half, uint32_t count, struct sort_key *spare)
{
    memcpy(spare, keys, half * sizeof *keys);
    for (uint32_t to = 0, low = 0, high = half; low < half; to++) {
        bool is_high = high < count && sort_is_before(&keys[high], &spare[low]);
        keys[to] = is_high ? keys[high++] : spare[low++];
    }
}

/* Part of a key: of one of its words, the bits above shift that mask has. */
struct digit {
    bool is_high;
    unsigned shift;
    uint32_t mask;
};

static inline uint32_t digit_of(const struct sort_key *key, bool is_high, struct digit digit)
{
    return (uint32_t)((is_high ? key->high : key->low) >> digit.shift) & digit.mask;
}

/* From one array to the other, by a digit: first how many have each, then where those begin. */
static inline void deal_by(const struct sort_key *keys, uint32_t count, struct sort_key *to,
                           bool is_high, struct digit digit)
{
    uint32_t places[1 << DIGIT_BITS_MAX];
    memset(places, 0, (digit.mask + 1) * sizeof *places);
    for (uint32_t i = 0; i < count; i++) {
        places[digit_of(&keys[i], is_high, digit)]++;
    }
    for (uint32_t i = 0, place = 0; i <= digit.mask; i++) {
        uint32_t next = place + places[i];
        places[i] = place;
        place = next;
    }
    for (uint32_t i = 0; i < count; i++) {
        to[places[digit_of(&keys[i], is_high, digit)]++] = keys[i];
    }
}

static void deal(const struct sort_key *keys, uint32_t count, struct sort_key *to,
                 struct digit digit)
{
    if (digit.is_high) {
        deal_by(keys, count, to, true, digit);
    } else {
        deal_by(keys, count, to, false, digit);
    }
}

/* Parts the bits of a word in which keys differ into digits, the lowest first, and returns how many
 * there are then; of more than DIGITS_MAX it only counts. */
static unsigned add_digits(struct digit digits[DIGITS_MAX], unsigned digit_count, bool is_high,
                           uint64_t differing, unsigned bits)
{
    while (differing != 0) {
        const unsigned shift = (unsigned)__builtin_ctzll(differing);
        const unsigned above = 64 - shift - (unsigned)__builtin_clzll(differing);
        const uint32_t mask = (UINT32_C(1) << (above < bits ? above : bits)) - 1;
        if (digit_count < DIGITS_MAX) {
            digits[digit_count] = (struct digit){is_high, shift, mask};
        }
        digit_count++;
        differing &= ~((uint64_t)mask << shift);
    }
    return digit_count;
}

/* spare has room for all.  False: it takes too many digits, and they are as they were. */
static bool deal_out(struct sort_key *keys, uint32_t count, struct sort_key *spare)
{
    uint64_t high = 0, low = 0;
    bool is_index_ascending = true;
    for (uint32_t i = 1; i < count; i++) {
        high |= keys[i].high ^ keys[i - 1].high;
        low |= keys[i].low ^ keys[i - 1].low;
        is_index_ascending &= (uint32_t)keys[i].low >= (uint32_t)keys[i - 1].low;
    }
    if (is_index_ascending) { /* then it stays so without a look at it */
        low &= ~(uint64_t)UINT32_MAX;
    }
    /* No more places than keys. */
    unsigned bits = 31 - (unsigned)__builtin_clz(count);
    bits = bits < DIGIT_BITS_MAX ? bits : DIGIT_BITS_MAX;
    struct digit digits[DIGITS_MAX];
    unsigned digit_count = add_digits(digits, 0, false, low, bits);
    digit_count = add_digits(digits, digit_count, true, high, bits);
    if (digit_count > bits) { /* about as many passes as merging takes */
        return false;
    }
    struct sort_key *from = keys, *to = spare;
    for (unsigned i = 0; i < digit_count; i++) {
        deal(from, count, to, digits[i]);
        struct sort_key *const dealt = to;
        to = from;
        from = dealt;
    }
    if (from != keys) {
        memcpy(keys, from, count * sizeof *keys);
    }
    return true;
}

/* spare has room for half of them, and for all where they may be dealt out. */
static void sort_parts(struct sort_key *keys, uint32_t count, struct sort_key *spare, bool is_dealt)
{
    if (count <= FEW) {
        insert_keys(keys, count);
        return;
    }
    if (is_dealt && count >= DEALT_MIN && count <= DEALT_MAX) {
        if (deal_out(keys, count, spare)) {
            return;
        }
        is_dealt = false; /* nor are its halves */
    }
    uint32_t half = count / 2;
    sort_parts(keys, half, spare, is_dealt);
    sort_parts(keys + half, count - half, spare, is_dealt);
    if (sort_is_before(&keys[half], &keys[half - 1])) {
        merge_runs(keys, half, count, spare);
    }
}

/* Where the run ends that begins with the first. */
static uint32_t find_end(const struct sort_key *keys, uint32_t count)
{
    uint32_t end = 1;
    while (end < count && !sort_is_before(&keys[end], &keys[end - 1])) {
        end++;
    }
    return end;
}

bool sort_keys(struct arena *arena, struct sort_key *keys, uint32_t count)
{
    const uint32_t half = find_end(keys, count);
    if (half >= count) {
        return false;
    }
    if (count <= FEW) {
        insert_keys(keys, count);
        return true;
    }
    const struct arena_mark mark = arena_mark(arena);
    const uint32_t room = count <= DEALT_MAX ? count : count / 2 + 1;
    struct sort_key *spare = arena_alloc(arena, room * sizeof *spare);
    if (half <= room && half + find_end(keys + half, count - half) == count) {
        merge_runs(keys, half, count, spare);
    } else {
        sort_parts(keys, count, spare, true);
    }
    arena_rewind(arena, mark);
    return true;
}

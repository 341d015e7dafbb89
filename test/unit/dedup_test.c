/* dedup_test.c - random arrivals against a comparison of each with each, in several orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "usage/usage.h"

#include <cmocka.h> /* last: it defines fail() */

enum { ARRIVALS_MAX = 400, CHUNK = 37 };

/* What was found, as sums that do not depend on the order. */
struct found {
    uint64_t accepted, accepted_print, duplicates, duplicate_print, undecided, undecided_print;
    uint64_t groups;
};

static void take_duplicate(void *context, const struct arrival *first, uint32_t copies)
{
    struct found *found = context;
    found->duplicates += copies;
    found->duplicate_print += copies * first->print;
}

static void take_undecided(void *context, const struct arrival *const *group, uint32_t count)
{
    struct found *found = context;
    found->groups++;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(group[i]->key == group[0]->key);
        found->undecided++;
        found->undecided_print += group[i]->print;
    }
}

static struct found expect(const struct arrival *items, uint32_t count)
{
    struct found found = {0};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t same = 0;
        bool is_first = true, is_mixed = false;
        for (uint32_t j = 0; j < count; j++) {
            if (items[j].key == items[i].key) {
                same++;
                is_first &= j >= i;
                is_mixed |= items[j].is_withdrawal || items[j].print != items[i].print;
            }
        }
        if (is_mixed) {
            found.groups += is_first;
            found.undecided++;
            found.undecided_print += items[i].print;
        } else if (is_first) {
            found.accepted++;
            found.accepted_print += items[i].print;
            found.duplicates += same - 1;
            found.duplicate_print += (same - 1) * items[i].print;
        }
    }
    return found;
}

static struct found run(struct arena *arena, const struct arrival *items, uint32_t count)
{
    struct arrival_chunk chunks[ARRIVALS_MAX / CHUNK + 1];
    uint32_t chunk_count = 0;
    for (uint32_t at = 0; at < count; at += CHUNK) {
        uint32_t left = count - at;
        chunks[chunk_count++] = (struct arrival_chunk){items + at, left < CHUNK ? left : CHUNK};
    }
    struct found found = {0};
    struct dedup_memory memory = {.arena = arena};
    struct dedup_sink sink = {&found, take_duplicate, take_undecided};
    struct dedup_accepted accepted = dedup_partition(&memory, chunks, chunk_count, &sink);
    found.accepted = accepted.count;
    found.accepted_print = accepted.print;
    return found;
}

/* Many copies, few contents a key, a withdrawal now and then; in some worlds most keys share the
 * low bits, by which the table places them. */
static uint32_t make_arrivals(struct arrival *items)
{
    uint32_t count = draw_below(ARRIVALS_MAX + 1), keys = 1 + draw_below(count + 1);
    bool is_crowded = draw_below(4) == 0;
    uint32_t mixed = draw_below(3) * 5;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t key = draw_below(keys);
        uint64_t content = mixed && draw_below(20) < mixed ? draw_below(2) : 0;
        uint64_t both[2] = {key, content};
        items[i] = (struct arrival){
            .key = is_crowded ? key << 40 | 7 : hash_print64(&key, sizeof key, 1),
            .print = hash_print64(both, sizeof both, 2),
            .position = i,
            .is_withdrawal = mixed && draw_below(30) == 0,
        };
    }
    return count;
}

static void finds_what_comparing_all_finds(void **)
{
    static struct arrival items[ARRIVALS_MAX];
    struct arena arena;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        state = seed;
        arena_init(&arena, NULL, 0);
        uint32_t count = make_arrivals(items);
        struct found wanted = expect(items, count);
        for (int order = 0; order < 3; order++) {
            struct found found = run(&arena, items, count);
            if (memcmp(&found, &wanted, sizeof found) != 0) {
                fail_msg("seed %llu, order %d: accepted %llu, not %llu; duplicates %llu, not %llu; "
                         "undecided %llu, not %llu",
                         (unsigned long long)seed, order, (unsigned long long)found.accepted,
                         (unsigned long long)wanted.accepted, (unsigned long long)found.duplicates,
                         (unsigned long long)wanted.duplicates, (unsigned long long)found.undecided,
                         (unsigned long long)wanted.undecided);
            }
            for (uint32_t i = count; i > 1; i--) {
                uint32_t j = draw_below(i);
                struct arrival other = items[i - 1];
                items[i - 1] = items[j];
                items[j] = other;
            }
        }
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_comparing_all_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

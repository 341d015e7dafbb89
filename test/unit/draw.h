/* draw.h - random numbers for tests, the same for a seed on every machine (SplitMix64). */
#ifndef FARTHING_TEST_UNIT_DRAW_H
#define FARTHING_TEST_UNIT_DRAW_H

#include <stdint.h>

static uint64_t state; /* the seed, set by the test */

static inline uint64_t draw(void)
{
    state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t x = state;
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static inline uint32_t draw_below(uint32_t limit)
{
    return (uint32_t)(draw() % limit);
}

#endif

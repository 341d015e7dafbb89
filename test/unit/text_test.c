/* text_test.c - text, UTF-8, buffers, what was meant, the hash table, and hashes against published
 * values. */
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/arena.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/nearest.h"
#include "base/text.h"
#include "table.h"

#include <cmocka.h> /* last: it has a macro named fail */

static int open_arena(void **state)
{
    struct arena *arena = malloc(sizeof *arena);
    assert_non_null(arena);
    arena_init(arena, NULL, 0);
    *state = arena;
    return 0;
}

static int close_arena(void **state)
{
    arena_release(*state);
    free(*state);
    return 0;
}

static void assert_text(struct text got, const char *expected)
{
    if (!text_equal(got, text_of(expected))) {
        printf("  got      %.*s\n  expected %s\n", TEXT_ARG(got), expected);
    }
    assert_true(text_equal(got, text_of(expected)));
}

static void texts_are_ordered_by_bytes(void **)
{
    static const char *const sorted[] = {"", "A", "AB", "B", "a", "aa", "b", "\xC3\xA4", "\xFF"};
    enum { COUNT = sizeof sorted / sizeof *sorted };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            int order = text_compare(text_of(sorted[i]), text_of(sorted[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    assert_true(text_compare((struct text){"a\0b", 3}, (struct text){"a\0c", 3}) < 0);
    assert_int_equal(text_compare((struct text){NULL, 0}, TEXT("")), 0);
}

static void texts_are_made(void **state)
{
    struct arena *arena = *state;
    struct text copy = text_copy(arena, (struct text){"abcdef", 3});
    assert_text(copy, "abc");
    assert_int_equal(copy.at[3], '\0');
    assert_text(text_copy(arena, (struct text){NULL, 0}), "");
    struct text joined = text_join(arena, TEXT("ab"), TEXT("cde"));
    assert_text(joined, "abcde");
    assert_int_equal(joined.at[5], '\0');
    assert_text(text_join(arena, (struct text){NULL, 0}, TEXT("x")), "x");
    assert_text(text_format(arena, "%d-%s", 42, "x"), "42-x");
    assert_text(text_format(arena, "%s", ""), "");
    for (int length = 250; length < 262; length++) { /* around the inner buffer */
        struct text text = text_format(arena, "%0*d", length, 7);
        assert_int_equal(text.size, length);
        assert_int_equal(text.at[length - 1], '7');
        assert_int_equal(text.at[length], '\0');
    }
}

/* The definition, from the ranges of Unicode's table 3-7, by decoding the whole text. */
static bool is_utf8_plainly(const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size;) {
        int more = at[i] < 0x80       ? 0
                   : at[i] >> 5 == 6  ? 1
                   : at[i] >> 4 == 14 ? 2
                   : at[i] >> 3 == 30 ? 3
                                      : -1;
        if (more < 0 || (size_t)more >= size - i) {
            return false;
        }
        uint32_t point = more ? at[i] & (0x3Fu >> more) : at[i];
        for (int j = 1; j <= more; j++) {
            if (at[i + (size_t)j] >> 6 != 2) {
                return false;
            }
            point = point << 6 | (at[i + (size_t)j] & 0x3F);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (point < least[more] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
            return false;
        }
        i += (size_t)more + 1;
    }
    return true;
}

static void utf8_is_checked(void **state)
{
    struct table table = table_read("utf8");
    int mismatches = 0;
    for (size_t i = 0; i < table.row_count; i++) {
        const struct table_row *row = &table.rows[i];
        bool ok = text_is_utf8(row->fields[0]);
        struct buffer buffer;
        buffer_init(&buffer, *state, 0);
        buffer_add_json(&buffer, row->fields[0]);
        struct text json = buffer_text(&buffer);
        assert_true(json.size >= 2 && json.at[0] == '"' && json.at[json.size - 1] == '"');
        struct text inner = {json.at + 1, json.size - 2};
        if (ok != text_equal(row->fields[1], TEXT("ok")) || !text_equal(inner, row->fields[2]) ||
            !text_is_utf8(json)) {
            printf("  MISMATCH utf8.tbl line %d: %s %.*s\n", row->line, ok ? "ok" : "bad",
                   TEXT_ARG(json));
            mismatches++;
        }
    }
    printf("  utf8.tbl: %zu cases, %d mismatches\n", table.row_count, mismatches);
    table_free(&table);
    assert_int_equal(mismatches, 0);
}

/* All sequences of up to three bytes, and all of four from the bytes where the rules change. */
static void utf8_agrees_with_its_definition(void **)
{
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                          0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
                                          0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFE, 0xFF};
    enum { EDGES = sizeof edges };
    long cases = 0, mismatches = 0;
    for (uint32_t i = 0; i < 1 << 24; i++) {
        unsigned char bytes[3] = {(unsigned char)(i >> 16), (unsigned char)(i >> 8),
                                  (unsigned char)i};
        size_t size = i < 1 << 8 ? 1 : i < 1 << 16 ? 2 : 3;
        const unsigned char *at = bytes + 3 - size;
        cases++;
        mismatches +=
            text_is_utf8((struct text){(const char *)at, size}) != is_utf8_plainly(at, size);
    }
    for (int i = 0; i < EDGES * EDGES * EDGES * EDGES; i++) {
        unsigned char bytes[9] = "01234567";
        int rest = i;
        for (size_t j = 0; j < 4; j++, rest /= EDGES) {
            bytes[4 + j] = edges[rest % EDGES];
        }
        cases++; /* with four characters before it, across the border of the step of eight */
        mismatches +=
            text_is_utf8((struct text){(const char *)bytes, 8}) != is_utf8_plainly(bytes, 8);
    }
    printf("  UTF-8: %ld cases, %ld mismatches\n", cases, mismatches);
    assert_int_equal(mismatches, 0);
}

static void buffers_grow(void **state)
{
    struct buffer buffer;
    buffer_init(&buffer, *state, 0);
    assert_text(buffer_text(&buffer), "");
    buffer_add_char(&buffer, 'a');
    buffer_add(&buffer, NULL, 0);
    buffer_add_text(&buffer, TEXT("bc"));
    buffer_add_u64(&buffer, 0);
    buffer_add_u64(&buffer, UINT64_MAX);
    buffer_format(&buffer, "[%s]", "x");
    assert_text(buffer_text(&buffer), "abc018446744073709551615[x]");

    buffer_init(&buffer, *state, 1);
    for (int i = 0; i < 1000; i++) {
        buffer_format(&buffer, "%d,", i);
    }
    assert_int_equal(buffer.size, 10 * 2 + 90 * 3 + 900 * 4);
    assert_memory_equal(buffer.at + buffer.size - 8, "998,999,", 8);
    assert_true(buffer.capacity >= buffer.size);
}

static void names_are_encoded(void **state)
{
    static const struct {
        struct text plain;
        const char *separators, *encoded;
    } cases[] = {
        {TEXT(""), "/ ", ""},
        {TEXT("acme"), "/ ", "acme"},
        {TEXT("a/b c%"), "/ ", "a%2Fb%20c%25"},
        {TEXT("a/b c%"), "|", "a/b c%25"},
        {TEXT("x=1;y"), ";=", "x%3D1%3By"},
        {TEXT("\0\x1f\x7f\x80\xff"), "", "%00%1F%7F\x80\xff"},
        {TEXT("%25"), "", "%2525"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer buffer;
        buffer_init(&buffer, *state, 0);
        buffer_add_encoded(&buffer, cases[i].plain, cases[i].separators);
        assert_text(buffer_text(&buffer), cases[i].encoded);
        char out[64];
        struct text decoded;
        assert_true(text_decode(buffer_text(&buffer), out, &decoded));
        assert_true(text_equal(decoded, cases[i].plain));
    }
    static const char *const damaged[] = {"%", "%2", "a%2", "%2G", "%G2", "%2f"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        char out[8];
        struct text decoded;
        assert_false(text_decode(text_of(damaged[i]), out, &decoded));
    }
}

static void running_out_of_memory_is_recovered(void **)
{
    struct arena arena;
    arena_init(&arena, NULL, 1 << 20);
    jmp_buf recover;
    struct buffer buffer;
    if (ARENA_RECOVER(&arena, recover)) {
        arena_release(&arena);
        return;
    }
    buffer_init(&buffer, &arena, 16);
    buffer_add_char(&buffer, 'a');
    buffer_reserve(&buffer, SIZE_MAX);
    fail_msg("a buffer of SIZE_MAX bytes was had");
}

/* ---- map ----------------------------------------------------------------------------------- */

static void maps_find_what_was_put(void **state)
{
    struct arena *arena = *state;
    static const uint32_t expectations[] = {0, 1, 5, 6, 7, 1000};
    for (size_t e = 0; e < sizeof expectations / sizeof *expectations; e++) {
        struct map map;
        map_init(&map, arena, expectations[e]);
        assert_int_equal(map_find(&map, TEXT("")), MAP_NONE);
        enum { COUNT = 20'000 };
        for (uint32_t i = 0; i < COUNT; i++) {
            struct text key = text_format(arena, "key%u", i);
            assert_int_equal(map_find(&map, key), MAP_NONE);
            assert_int_equal(map_put(&map, key, i), i);
            assert_int_equal(map_put(&map, key, i + 1), i); /* the first stays */
            assert_int_equal(map_take(&map, key)->value, i);
        }
        assert_int_equal(map.count, COUNT);
        assert_int_equal(map_put(&map, (struct text){NULL, 0}, 7), 7);
        assert_int_equal(map_put(&map, (struct text){"\0", 1}, 8), 8);
        assert_int_equal(map_find(&map, TEXT("")), 7);
        assert_int_equal(map_find(&map, (struct text){"\0", 1}), 8);
        for (uint32_t i = 0; i < COUNT; i++) {
            assert_int_equal(map_find(&map, text_format(arena, "key%u", i)), i);
        }
        assert_int_equal(map_find(&map, TEXT("key")), MAP_NONE);
        assert_int_equal(map_find(&map, TEXT("key020000")), MAP_NONE);
    }
}

/* ---- hashes -------------------------------------------------------------------------------- */

static void digests_are_sha256(void **state)
{
    char hex[65];
    struct digest digest = hash_digest(TEXT("abc")); /* FIPS 180-4's own examples */
    digest_format(&digest, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest = hash_digest((struct text){NULL, 0});
    digest_format(&digest, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest = hash_digest(TEXT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"));
    digest_format(&digest, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");

    char *bytes = arena_alloc(*state, 1000);
    for (size_t size = 0; size < 1000; size++) { /* the other interface of the library */
        bytes[size] = (char)(size * 7);
        unsigned char expected[EVP_MAX_MD_SIZE];
        assert_int_equal(EVP_Digest(bytes, size, expected, NULL, EVP_sha256(), NULL), 1);
        digest = hash_digest((struct text){bytes, size});
        assert_memory_equal(digest.bytes, expected, 32);
    }
}

static void prints_are_stable(void **)
{
    /* The published XXH3 hashes of the empty text (seed 0). */
    char hex[33];
    hash128_format(hash_print(NULL, 0), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    assert_true(hash_print64(NULL, 0, 0) == 0x2D06'8005'38D3'94C2u);
    assert_true(hash_print64("abc", 3, 0) != hash_print64("abc", 3, 1));
    hash128_format((struct hash128){.low = 0x1, .high = 0x0123'4567'89AB'CDEFu}, hex);
    assert_string_equal(hex, "0123456789abcdef0000000000000001");
}

static void secrets_matter(void **)
{
    struct hash_secret one, two;
    for (size_t i = 0; i < sizeof one.bytes; i++) {
        one.bytes[i] = (unsigned char)(i * 37 + 11);
        two.bytes[i] = (unsigned char)(i * 91 + 5);
    }
    char bytes[600];
    memset(bytes, 'x', sizeof bytes);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        uint64_t hash = hash_secret64(&one, bytes, size);
        assert_true(hash == hash_secret64(&one, bytes, size));
        assert_true(hash != hash_secret64(&two, bytes, size));
        assert_true(hash != hash_print64(bytes, size, 0));
        if (size > 0) {
            assert_true(hash != hash_secret64(&one, bytes, size - 1));
        }
    }
}

static void prints_add_up_in_any_order(void **)
{
    struct hash128 forward = {0}, backward = {0};
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t j = 99 - i;
        forward = hash_add(forward, hash_print(&i, sizeof i));
        backward = hash_add(backward, hash_print(&j, sizeof j));
    }
    assert_true(hash_equal(forward, backward));
    struct hash128 carried = hash_add((struct hash128){UINT64_MAX, 1}, (struct hash128){1, 2});
    assert_true(carried.low == 0 && carried.high == 4);
}

static void nearest_is_near(void **state)
{
    (void)state;
    static const struct text words[] = {{"quantity", 8}, {"rate", 4}, {"region", 6}, {"", 0}};
    static const char *const pairs[][2] = {
        {"quantiy", "quantity"},
        {"qauntity", "quantity"},
        {"Quantity", "quantity"},
        {"rates", "rate"},
        {"rat", "rate"},
        {"regoin", "region"},
        {"xyz", ""},
        {"", ""},
        {"quant", "quantity"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct text nearest = text_nearest(text_of(pairs[i][0]), words, 4);
        if (i == 8) {
            assert_int_equal(nearest.size, 0); /* three of five letters is another word */
        } else {
            assert_true(text_equal(nearest, text_of(pairs[i][1])));
        }
    }
    char longer[65];
    memset(longer, 'x', sizeof longer);
    struct text word = {longer, sizeof longer};
    assert_int_equal(text_nearest(word, &word, 1).size, 0);
    word.size--;
    assert_true(text_equal(text_nearest(word, &word, 1), word));
}

/* A message stays on its line, and nothing in it hides or turns around what stands behind it. */
static void messages_are_plain(void **state)
{
    (void)state;
    static const struct {
        const char *name, *shown;
    } cases[] = {
        {"a\nb\x1b[31m\x7f", "a?b?[31m?"},
        {"a\xe2\x80\xae"
         "b\xe2\x81\xa9",
         "a?b?"},                                             /* U+202E, U+2069 */
        {"\xef\xbb\xbfx\xd8\x9cy\xc2\x9bz", "?x?y?z"},        /* U+FEFF, U+061C, U+009B */
        {"Z\xc3\xbcrich e\xcc\x81 \xe2\x82\xac \xe2\x80\x93", /* is as it is */
         "Z\xc3\xbcrich e\xcc\x81 \xe2\x82\xac \xe2\x80\x93"},
        {"\xe2\x80", "\xe2\x80"}, /* no UTF-8 */
    };
    struct error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)(fail)(&err, ERR_INPUT, "%s", cases[i].name);
        (void)fail_hint(&err, "%s", cases[i].name);
        assert_string_equal(err.message, cases[i].shown);
        assert_string_equal(err.hint, cases[i].shown);
    }
    /* What does not fit ends with a whole character, wherever the room ends in one. */
    for (int before = 0; before < 8; before++) {
        char name[600];
        memset(name, 'x', (size_t)before);
        name[before] = '\0';
        while (strlen(name) + 4 < sizeof name) {
            strcat(name, "\xe2\x82\xac");
        }
        (void)(fail)(&err, ERR_INPUT, "%s", name);
        assert_true(text_is_utf8(text_of(err.message)));
        assert_in_range(strlen(err.message), sizeof err.message - 3, sizeof err.message - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_ordered_by_bytes),
        cmocka_unit_test(messages_are_plain),
        cmocka_unit_test_setup_teardown(texts_are_made, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(utf8_is_checked, open_arena, close_arena),
        cmocka_unit_test(utf8_agrees_with_its_definition),
        cmocka_unit_test_setup_teardown(buffers_grow, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(names_are_encoded, open_arena, close_arena),
        cmocka_unit_test(nearest_is_near),
        cmocka_unit_test(running_out_of_memory_is_recovered),
        cmocka_unit_test_setup_teardown(maps_find_what_was_put, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(digests_are_sha256, open_arena, close_arena),
        cmocka_unit_test(prints_are_stable),
        cmocka_unit_test(secrets_matter),
        cmocka_unit_test(prints_add_up_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

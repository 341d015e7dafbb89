/* letter.c - see letter.h. */
#include "engine/letter.h"

/* JSON has no place for bytes that are no text: those go as base64. */
static void add_base64(struct buffer *out, struct text bytes)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.size; i += 3) {
        uint32_t word = 0;
        size_t have = bytes.size - i < 3 ? bytes.size - i : 3;
        for (size_t j = 0; j < 3; j++) {
            word = word << 8 | (j < have ? (unsigned char)bytes.at[i + j] : 0);
        }
        for (size_t j = 0; j < 4; j++) {
            buffer_add_char(out, j <= have ? DIGITS[word >> (18 - 6 * j) & 63] : '=');
        }
    }
}

/* The longest prefix that ends at a whole character, so that a cut record is still text. */
static struct text whole_characters(struct text bytes, uint64_t full_size)
{
    if (bytes.size == full_size) {
        return bytes;
    }
    size_t size = bytes.size;
    for (int i = 0; i < 3 && size > 0 && ((unsigned char)bytes.at[size - 1] & 0xC0) == 0x80; i++) {
        size--;
    }
    if (size > 0 && (unsigned char)bytes.at[size - 1] >= 0xC0) {
        size--;
    } else {
        size = bytes.size;
    }
    return (struct text){bytes.at, size};
}

void letter_render(struct buffer *out, const struct dead_letter *letter)
{
    buffer_add_text(out, TEXT("{\"file\":"));
    buffer_add_json(out, text_of(letter->path));
    buffer_format(out, ",\"line\":%llu,\"offset\":%llu,\"reason\":\"%s\",\"detail\":",
                  (unsigned long long)letter->line, (unsigned long long)letter->offset,
                  refusal_name(letter->refusal));
    buffer_add_json(out, letter->detail);
    buffer_add_text(out, TEXT(",\"hint\":"));
    buffer_add_json(out, text_of(refusal_hint(letter->refusal)));
    struct text text = whole_characters(letter->bytes, letter->size);
    if (text_is_utf8(text)) {
        buffer_add_text(out, TEXT(",\"bytes\":"));
        buffer_add_json(out, text);
    } else {
        buffer_add_text(out, TEXT(",\"base64\":\""));
        add_base64(out, letter->bytes);
        buffer_add_char(out, '"');
    }
    char hex[65];
    digest_format(&letter->digest, hex);
    buffer_format(out, ",\"size\":%llu,\"sha256\":\"%s\"}\n", (unsigned long long)letter->size,
                  hex);
}

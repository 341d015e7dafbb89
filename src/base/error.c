/* error.c - see error.h. */
#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>

/* Bytes of what has no shape of its own at the start of a text: a control character, also one
 * beyond ASCII (U+0080 to U+009F), a character without width or one that turns the direction of
 * writing (U+061C, U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF); 0: it has. */
size_t message_hidden_bytes(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0xC2) {
        return at[0] < 0x20 || at[0] == 0x7F;
    }
    if ((at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F) || (at[0] == 0xD8 && at[1] == 0x9C)) {
        return 2;
    }
    const bool is_hidden =
        (at[0] == 0xE2 && at[1] == 0x80 &&
         ((at[2] >= 0x8B && at[2] <= 0x8F) || (at[2] >= 0xA8 && at[2] <= 0xAE))) ||
        (at[0] == 0xE2 && at[1] == 0x81 && at[2] >= 0xA0 && at[2] <= 0xAF) ||
        (at[0] == 0xEF && at[1] == 0xBB && at[2] == 0xBF);
    return is_hidden ? 3 : 0;
}

/* What is left of a character that the end of the room has cut goes. */
static void end_whole(char *text, size_t length)
{
    size_t last = length;
    while (last > 0 && ((unsigned char)text[last - 1] & 0xC0) == 0x80) {
        last--;
    }
    const unsigned char first = last > 0 ? (unsigned char)text[last - 1] : 0;
    const size_t size = first < 0xC0 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (size > 0 && length - last + 1 < size) {
        text[last - 1] = '\0';
    }
}

void message_format(char *message, size_t size_bytes, const char *format, va_list arguments)
{
    const int wanted = vsnprintf(message, size_bytes, format, arguments);
    if (wanted >= 0 && (size_t)wanted >= size_bytes) {
        end_whole(message, size_bytes - 1);
    }
    char *to = message;
    for (const char *at = message; *at;) {
        const size_t hidden = message_hidden_bytes(at);
        *to++ = hidden > 0 ? '?' : *at;
        at += hidden > 0 ? hidden : 1;
    }
    *to = '\0';
}

enum status fail(struct error *err, enum status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        message_format(err->message, sizeof err->message, format, args);
        va_end(args);
        err->status = status;
        err->hint[0] = '\0';
    }
    return status;
}

enum status fail_hint(struct error *err, const char *format, ...)
{
    if (!err) {
        return ERR_INPUT;
    }
    va_list args;
    va_start(args, format);
    message_format(err->hint, sizeof err->hint, format, args);
    va_end(args);
    return err->status;
}

enum status fail_memory(struct error *err, size_t limit_bytes, const char *during, const char *hint)
{
    const size_t mib = limit_bytes / (1024 * 1024);
    if (mib > 0) {
        (void)fail(err, ERR_LIMIT, "the memory limit of %zu MiB is reached%s", mib, during);
        (void)fail_hint(err, "allow more with --memory, such as %zuMiB%s", 2 * mib, hint);
    } else {
        (void)fail(err, ERR_LIMIT, "the memory limit is reached%s", during);
        (void)fail_hint(err, "allow more with --memory%s", hint);
    }
    return ERR_LIMIT;
}

enum status fail_memory_at(struct error *err, const char *format, ...)
{
    char place[sizeof err->message / 2];
    va_list args;
    va_start(args, format);
    message_format(place, sizeof place, format, args);
    va_end(args);
    (void)fail(err, ERR_LIMIT, "%s: the memory limit is reached", place);
    (void)fail_hint(err, "allow more with --memory, or use fewer threads");
    return ERR_LIMIT;
}

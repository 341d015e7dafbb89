/* fuzz_time.c - texts as times, dates, epochs and periods.
 *
 * What was read is in range, is written and read again as the same instant, and a period's ends
 * are in order; what was refused has left the result alone.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/calendar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static const instant untouched = -77;

static void check_instant(enum time_fault fault, instant at)
{
    if (fault != TIME_OK) {
        assert(at == untouched);
        return;
    }
    assert(at >= INSTANT_MIN && at < INSTANT_MAX);
    char out[TIME_FORMAT_MAX];
    instant back = untouched;
    int length = time_format(at, out);
    assert(length >= 20 && length <= 30 && out[length] == '\0');
    enum time_fault again = time_parse((struct text){out, (size_t)length}, &back);
    assert(again == TIME_OK && back == at);
    length = time_format_short(at, out);
    again = time_parse_date((struct text){out, (size_t)length}, NULL, &back);
    assert(again == TIME_OK && back == at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct text text = {(const char *)data, size_bytes};
    instant time = untouched, epoch = untouched, date = untouched;
    struct period period = {untouched, untouched};
    enum time_fault time_fault = time_parse(text, &time);
    enum time_fault date_fault = time_parse_date(text, NULL, &date);
    check_instant(time_fault, time);
    check_instant(date_fault, date);
    enum time_fault epoch_fault = time_parse_epoch(text, &epoch);
    check_instant(epoch_fault, epoch);
    /* A time is a date as well. */
    assert(time_fault != TIME_OK || (date_fault == TIME_OK && date == time));
    if (period_parse(text, NULL, &period) == TIME_OK) {
        assert(INSTANT_MIN <= period.from && period.from < period.to && period.to <= INSTANT_MAX);
    } else {
        assert(period.from == untouched && period.to == untouched);
    }
    return 0;
}

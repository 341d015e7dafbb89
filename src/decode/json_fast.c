/* json_fast.c - the fast scanner; see record.h. */
#include "decode/record.h"

bool json_fast_read(struct decoder *, struct text, struct event *)
{
    return false;
}

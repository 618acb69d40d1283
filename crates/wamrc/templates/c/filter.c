/* The filter {{name}}: drops what is only for debugging, takes passwords away, says where a record came from. */

#include "flb_filter.h"

static flb_verdict filter(flb_record *record) {
    if (flb_is(flb_get(record, "level"), "debug")) return FLB_DROP;
    flb_delete(record, "password");
    flb_set_text(record, "tag", record->batch->tag, record->batch->tag_len);
    return FLB_KEEP;
}
FLB_FILTER(filter)

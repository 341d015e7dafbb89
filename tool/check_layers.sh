#!/bin/sh
# check_layers.sh - includes point only downwards:
#
#     base < expr < catalog < decode < usage < price < bill < {render, feed} < engine
#          < {inspect, exchange, cases} < include/farthing.h < cli
#
# A room sees itself, and the rooms below it; the command line sees itself, farthing.h, and what it
# shares with the rooms though it is no part of billing: base/nearest.h, base/error.h; the public
# header sees no room.  Prints file:line of each offence.
cd "$(dirname "$0")/.." || exit 1

find src include -name '*.[ch]' -exec grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + |
    LC_ALL=C sort -t: -k1,1 -k2,2n | awk -F: '
BEGIN {
    split("base expr catalog decode usage price bill render feed engine inspect exchange cases", order, " ")
    for (i in order) { level[order[i]] = i + 0 }
    level["feed"] = level["render"] # these two do not see each other
    level["exchange"] = level["cases"] = level["inspect"] # nor do these three
}
function offend(why) {
    print $1 ":" $2 ": " why
    offences++
}
{
    split($1, path, "/")
    room = path[1] == "include" ? "include" : path[2]
    split($0, quoted, "\"")
    target = quoted[2]
    seen[room] = 1
    count++
    if (target == "farthing.h") {
        if (room != "include" && room != "cli" && !(room in level && level[room] >= level["engine"])) {
            offend(room " includes farthing.h, which stands above it")
        }
        next
    }
    if (room == "include") {
        offend("the public header includes \"" target "\"")
        next
    }
    if (!match(target, "/") || target ~ /\.\./) {
        offend("\"" target "\" is not written from src/")
        next
    }
    split(target, parts, "/")
    below = parts[1]
    if (below == room) {
        next
    }
    if (!(below in level) && below != "cli") {
        offend("\"" target "\" is in no room")
    } else if (room == "cli") {
        if (target == "base/nearest.h" || target == "base/error.h") {
            next
        }
        offend("cli includes \"" target "\"; it may use farthing.h alone")
    } else if (!(room in level)) {
        offend("room " room " has no place in the order")
    } else if (below == "cli" || level[below] >= level[room]) {
        offend(room " includes \"" target "\", which does not stand below it")
    }
}
END {
    if (offences) { exit 1 }
    printf "check_layers: %d includes point downwards\n", count
}'

# progress.awk - ninja's lines [DONE/ALL], thinned out: one for each tenth, and all that is none of them.
match($0, /^\[[0-9]+\/[0-9]+\] /) {
    split(substr($0, 2, RLENGTH - 3), count, "/")
    tenth = int(10 * count[1] / count[2])
    if (tenth > last) {
        last = tenth
        printf "  %d of %d\n", count[1], count[2]
        fflush()
    }
    next
}
{ print; fflush() }

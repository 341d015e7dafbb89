#!/bin/bash
# golden.sh - the naive rater against the worked cases that were handed over, where they are there.
cd "$(dirname "$0")/../.." || exit 1
status=0
for file in ../shared/golden/models.language.jsonl ../shared/golden/cloud.language.jsonl; do
    if [ -f "$file" ]; then
        /usr/bin/python3 test/sim/golden.py "$file" || status=1
    else
        echo "skipped: there is no $file"
    fi
done
/usr/bin/python3 test/sim/golden.py test/pricing/cover_clouds.yaml || status=1
exit $status

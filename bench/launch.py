"""launch.py FD COMMAND...: runs the command and writes to descriptor FD, as JSON, what it took.

The kernel keeps the peak of memory over exec: a command begins with the peak of the process that started it.  Whoever starts
it must be small, then, which bench.py, with the amounts of all accounts, is not."""
import json
import os
import sys
import time

begin = time.monotonic()
process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ,
                          file_actions=[(os.POSIX_SPAWN_CLOSE, int(sys.argv[1]))])
_, status, usage = os.wait4(process, 0)
took = {"code": os.waitstatus_to_exitcode(status), "wall_s": time.monotonic() - begin, "user_s": usage.ru_utime,
        "system_s": usage.ru_stime, "rss_kib": usage.ru_maxrss}
os.write(int(sys.argv[1]), json.dumps(took).encode())

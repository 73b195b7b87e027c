"""A process that forks: it imports everything once, then runs the campaigns that it is asked for.

One JSON object a line comes in, ``{"campaign": ..., "scenario": ..., ...}``, and one goes out.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from tests.faults import os_calls

os_calls.install()

from tests.faults import campaigns  # noqa: E402  # after the functions were replaced
from tests.faults.laboratory import Bench  # noqa: E402

CAMPAIGNS = {
    "list": campaigns.list_operations,
    "kill-commit": campaigns.kill_commit,
    "kill-recovery": campaigns.kill_recovery,
    "fail-commit": campaigns.fail_commit,
    "break-disk": campaigns.break_disk,
}


def serve(folder: Path, elsewhere: str) -> None:
    """Answer until nothing comes any more."""
    benches: dict[str, Bench] = {}
    gc.freeze()  # what all children share is not copied by looking for garbage in it
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("scenario")
        if name not in benches:
            benches[name] = Bench(folder, name, elsewhere)
        campaign = CAMPAIGNS[request.pop("campaign")]
        print(json.dumps(campaign(benches[name], **request)), flush=True)  # noqa: T201  # the answer


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2])

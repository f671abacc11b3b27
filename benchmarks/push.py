"""A push of a large release to the test Hub: peak memory, and time beside one bare `create_commit` of the same files.

    python -m benchmarks.push [--folder DIR] [--gigabytes 2] [--xet]

Both go to a Hub on 127.0.0.1 (tests/hub) that keeps what arrives on the same disk and reads it again for its digests,
so the times are this machine's; what counts is the ratio, and that memory does not grow with the files.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import say
from tests.hub import HubServer
from tests.pushing import tiny_release

ROOT = Path(__file__).parent.parent
PIECE = 1 << 20
PUSH = """
import sys
from pathlib import Path
from release import hub
from release.progress import Console
folder = Path(sys.argv[1])
upload = hub.Upload(folder / "model", folder / "space", "ada/whole", folder / "work")
hub.push(upload, hub.PublishOptions(), Console(quiet=True))
"""
BARE = """
import sys
from pathlib import Path
from huggingface_hub import CommitOperationAdd, HfApi
folder, api = Path(sys.argv[1]) / "model", HfApi()
api.create_repo("ada/bare", private=True)
operations = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
api.create_commit("ada/bare", operations, commit_message="bare")
"""
# Not the parent's count of its child: that begins at the parent's own size, and the Hub in it is large.
PEAK = """
import re
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def main() -> None:
    options = arguments()
    release = prepared(options.folder / "release", options.gigabytes)
    results = {}
    for name, script in (("bare", BARE), ("push", PUSH)):
        shutil.rmtree(options.folder / "hub", ignore_errors=True)
        shutil.rmtree(release / "work", ignore_errors=True)
        shutil.rmtree(options.folder / "home", ignore_errors=True)
        with HubServer(options.folder / "hub") as hub:
            results[name] = measured(script, release, hub, options)
            print(name, results[name], flush=True)
    ratio = results["push"]["seconds"] / results["bare"]["seconds"]
    print(json.dumps({**results, "push_beside_bare": round(ratio, 2), "gigabytes": options.gigabytes}))
    say("push", [ratio], int(results["push"]["peak_mib"] * 2**20))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "release-bench"))
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--xet", action="store_true", help="by Xet instead of LFS")
    return parser.parse_args()


def prepared(folder: Path, gigabytes: float) -> Path:
    """Make a release of two shards of noise, unless it is there."""
    tiny_release(folder)
    for number in (1, 2):
        path = folder / "model" / f"model-0000{number}-of-00002.safetensors"
        size = int(gigabytes * 5e8)
        if path.is_file() and path.stat().st_size >= size:
            continue
        with path.open("wb") as file:
            for piece in range(0, size, PIECE):
                file.write(random.Random(number * size + piece).randbytes(min(PIECE, size - piece)))
    return folder


def measured(script: str, release: Path, hub: HubServer, options: argparse.Namespace) -> dict[str, float]:
    """Run a script in a process of its own; return its seconds and its peak memory in MiB."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    ours = {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": hub.token,
        "HF_HOME": str(options.folder / "home"),
        "HF_HUB_DISABLE_XET": "" if options.xet else "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": str(ROOT),
    }
    began = time.monotonic()
    command = [sys.executable, "-c", script + PEAK, str(release)]
    done = subprocess.run(command, env=kept | ours, stdout=subprocess.PIPE, text=True, check=True)
    return {"seconds": round(time.monotonic() - began, 1), "peak_mib": round(int(done.stdout) / 1024, 1)}


if __name__ == "__main__":
    main()

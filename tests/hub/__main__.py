"""Serve a Hub until interrupted: `python -m tests.hub FOLDER`, and try any tool on it."""

import sys
import threading
from pathlib import Path

from tests.hub import HubServer


def main() -> None:
    with HubServer(Path(sys.argv[1])) as hub:
        print(f"export HF_ENDPOINT={hub.url} HF_TOKEN={hub.token}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

"""The app of a Space, as far as a visitor's gradio_client sees it: one endpoint, `/compare`.

It runs where its Space runs, is seen by whoever may see that, and reads the model of the same name: one that is open
to everyone, or any with a secret HF_TOKEN. A test that wants a real app names its address in `site.hosts`.
"""

import json
from typing import Any

from tests.hub import spaces
from tests.hub.repos import Call, readable
from tests.hub.state import Repo
from tests.hub.wire import Answer, Refused

PREFIX = "/gradio_api"
COMPONENTS = ("textbox", "slider", "chatbot", "chatbot")
CONFIG = {
    "version": "6.31.0",
    "protocol": "sse_v3",
    "api_prefix": PREFIX,
    "connect_heartbeat": False,
    "components": [{"id": number, "type": kind} for number, kind in enumerate(COMPONENTS)],
    "dependencies": [{"id": 0, "api_name": "compare", "inputs": [0, 1], "outputs": [2, 3], "backend_fn": True}],
}
INFO = {
    "named_endpoints": {
        "/compare": {"parameters": [{"parameter_name": "prompt"}, {"parameter_name": "max_new_tokens"}], "returns": []}
    },
    "unnamed_endpoints": {},
}


def host(call: Call, repo: Repo) -> str | None:
    """Return the address of a Space's app; None where the Hub names none."""
    return call.site.hosts.get(repo.id, f"{call.here}/run/spaces/{repo.id}")


def config(call: Call) -> Answer:
    _running(call)
    return Answer.json(CONFIG)


def info(call: Call) -> Answer:
    _running(call)
    return Answer.json(INFO)


def join(call: Call) -> Answer:
    """Take a question; the session's name is the event's too."""
    _running(call)
    return Answer.json({"event_id": call.body.json()["session_hash"]})


def data(call: Call) -> Answer:
    """Stream the answer."""
    model = call.store.repo("models", _running(call).id)
    event: dict[str, Any] = {"event_id": call.query["session_hash"][0], "msg": "process_completed"}
    if model is None or _reads(_running(call), model):
        event |= {"success": True, "output": {"data": [_message("Dense sky."), _message("Pruned sky.")]}}
    else:
        event |= {"success": False, "output": {"error": f"401: the model {model.id} is gated or private."}}
    events = [event, {"msg": "close_stream", "event_id": None}]
    text = "".join(f"data: {json.dumps(each)}\n\n" for each in events)
    return Answer(200, text.encode(), {"Content-Type": "text/event-stream"})


def _message(text: str) -> list[dict[str, Any]]:
    """What a Chatbot holds."""
    return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]


def _running(call: Call) -> Repo:
    repo = readable(call)
    if spaces.stage_of(call, repo) not in ("RUNNING", "RUNNING_BUILDING", "RUNNING_APP_STARTING"):
        raise Refused(503, "Your Space is not running.")
    return repo


def _reads(space: Repo, model: Repo) -> bool:
    return "HF_TOKEN" in space.secrets or not (model.private or model.gated)

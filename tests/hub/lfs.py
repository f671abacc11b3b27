"""Large files by git LFS: ask where to put them, put them, have them checked."""

from tests.hub.repos import Call, writable
from tests.hub.wire import Answer, Refused

OBJECTS = "application/vnd.git-lfs+json"


def batch(call: Call) -> Answer:
    """Say for every object where it goes; nothing to do for one whose bytes are here."""
    writable(call)
    asked = call.body.json()
    if asked.get("operation") != "upload" or asked.get("hash_algo") != "sha256":
        raise Refused(400, "Only uploads named by SHA-256 are known here.")
    objects = [_placed(call, item["oid"], item["size"]) for item in asked["objects"]]
    return Answer.json({"transfer": "basic", "objects": objects}, **{"Content-Type": OBJECTS})


def _placed(call: Call, oid: str, size: int) -> dict[str, object]:
    if call.store.blob(oid).is_file():
        return {"oid": oid, "size": size}
    actions = {
        "upload": {"href": f"{call.elsewhere}/lfs/{oid}", "header": {}},
        "verify": {"href": f"{call.here}{call.path.removesuffix('objects/batch')}verify"},
    }
    return {"oid": oid, "size": size, "actions": actions}


def put(call: Call) -> Answer:
    """Take the bytes; the address was enough of a permission, and a token has no business here."""
    if call.account is not None:
        raise Refused(400, "Only one authorization is allowed; this address carries its own.")
    entry = call.store.keep(call.body.pieces(), lfs=True)
    if entry.sha256 != call.params["oid"]:
        raise Refused(400, "The bytes do not have the digest that names them.")
    return Answer(headers={"ETag": f'"{entry.sha256}"'})


def verify(call: Call) -> Answer:
    """Confirm that an object lies here with the size the client knows."""
    writable(call)
    asked = call.body.json()
    path = call.store.blob(asked["oid"])
    if not path.is_file():
        raise Refused(404, "The object never arrived.")
    if path.stat().st_size != asked["size"]:
        raise Refused(422, "The object has another size.")
    return Answer.json({})

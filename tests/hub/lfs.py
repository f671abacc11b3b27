"""Large files by git LFS: ask where to put them, put them, whole or in parts, have them checked."""

from pathlib import Path
from typing import Any

from tests.hub.repos import Call, writable
from tests.hub.state import digests
from tests.hub.wire import Answer, Refused

OBJECTS = "application/vnd.git-lfs+json"


def batch(call: Call) -> Answer:
    """Say for every object where it goes; nothing to do for one whose bytes are here."""
    writable(call)
    asked = call.body.json()
    if asked.get("operation") != "upload" or asked.get("hash_algo") != "sha256":
        raise Refused(400, "Only uploads named by SHA-256 are known here.")
    objects = [
        _placed(call, item["oid"], item["size"], "multipart" in asked.get("transfers", ())) for item in asked["objects"]
    ]
    in_parts = any("chunk_size" in item.get("actions", {}).get("upload", {}).get("header", {}) for item in objects)
    transfer = "multipart" if in_parts else "basic"
    return Answer.json({"transfer": transfer, "objects": objects}, headers={"Content-Type": OBJECTS})


def _placed(call: Call, oid: str, size: int, may_be_parted: bool) -> dict[str, Any]:
    here = {"oid": oid, "size": size}
    if call.store.blob(oid).is_file():
        return here
    upload: dict[str, Any] = {"href": f"{call.elsewhere}/lfs/{oid}", "header": {}}
    if may_be_parted and size > call.site.part:
        upload = {"href": f"{call.here}/lfs/{oid}/complete", "header": _parts(call, oid, size)}
    verify = {"href": f"{call.here}{call.path.removesuffix('objects/batch')}verify"}
    return here | {"actions": {"upload": upload, "verify": verify}}


def _parts(call: Call, oid: str, size: int) -> dict[str, str]:
    """Give an address for each part, numbered from 1, and how large a part is."""
    count = -(-size // call.site.part)
    addresses = {str(number): f"{call.elsewhere}/lfs/{oid}/{number}" for number in range(1, count + 1)}
    return {"chunk_size": str(call.site.part), **addresses}


def put(call: Call) -> Answer:
    """Take the bytes; the address was enough of a permission, and a token has no business here."""
    _without_token(call)
    entry = call.store.keep(call.body.pieces(), lfs=True)
    if entry.sha256 != call.params["oid"]:
        raise Refused(400, "The bytes do not have the digest that names them.")
    return Answer(headers={"ETag": f'"{entry.sha256}"'})


def put_part(call: Call) -> Answer:
    """Take one part, and give it a name that closing will ask for."""
    _without_token(call)
    path = _part(call, call.params["number"])
    path.parent.mkdir(parents=True, exist_ok=True)
    arriving = path.with_suffix(".arriving")
    with arriving.open("wb") as file:
        for piece in call.body.pieces():
            file.write(piece)
    arriving.replace(path)
    return Answer(headers={"ETag": f'"{digests(path)[1]}"'})


def complete(call: Call) -> Answer:
    """Put the parts together, once all are named and here."""
    asked = call.body.json()
    paths = [_part(call, str(part["partNumber"])) for part in asked["parts"]]
    for path, part in zip(paths, asked["parts"], strict=True):
        if not path.is_file() or f'"{digests(path)[1]}"' != part["etag"]:
            raise Refused(400, f"Part {part['partNumber']} did not arrive as it is named.")
    entry = call.store.keep((piece for path in paths for piece in _read(path)), lfs=True)
    if entry.sha256 != call.params["oid"]:
        raise Refused(400, "The parts together do not have the digest that names them.")
    return Answer.json({})


def _part(call: Call, number: str) -> Path:
    return call.store.folder / "parts" / call.params["oid"] / number


def _read(path: Path) -> list[bytes]:
    return [path.read_bytes()]


def _without_token(call: Call) -> None:
    if call.account is not None:
        raise Refused(400, "Only one authorization is allowed; this address carries its own.")


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

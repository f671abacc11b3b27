"""Signed releases: what was signed verifies with its key alone, here and on a Hub; anything else is refused."""

import base64
import io
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.__main__ import run
from release.checkpoint.files import Folder
from release.errors import HubFailed
from release.format import one_line
from release.verification import signing
from tests import checkpoints, remote


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, Path]:
    """Two pairs of keys, and files that hold none that can be used."""
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    folder = tmp_path_factory.mktemp("keys")
    plain, subject = pem.NoEncryption(), pem.PublicFormat.SubjectPublicKeyInfo

    def write(name: str, data: bytes) -> None:
        (folder / name).write_bytes(data)

    made = {"mine": ec.SECP256R1(), "other": ec.SECP384R1(), "curve": ec.SECP256K1()}
    for name, private in {n: ec.generate_private_key(c) for n, c in made.items()}.items():
        write(name, private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, plain))
        write(f"{name}.pub", private.public_key().public_bytes(pem.Encoding.PEM, subject))
        locked = pem.BestAvailableEncryption(b"secret")
        write(f"{name}-locked", private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, locked))
    edwards = ed25519.Ed25519PrivateKey.generate()
    write("edwards", edwards.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, plain))
    write("text", b"no key\n")
    return {path.name: path for path in folder.iterdir()} | {"missing": folder / "missing"}


@pytest.fixture(scope="module")
def sealed(release, keys, console, tmp_path_factory) -> Path:
    """The same, signed; not to be changed."""
    folder = checkpoints.copy(release, tmp_path_factory.mktemp("sealed") / "model")
    signing.signer(keys["mine"]).seal(folder, console)
    return folder


@pytest.fixture
def signed(sealed, tmp_path) -> Path:
    return checkpoints.copy(sealed, tmp_path / "model")


def verdict(folder: Path, capsys, *more: str) -> tuple[int, bool | None, str]:
    capsys.readouterr()
    code = run(["verify", str(folder), *more, "--json"])
    said = json.loads(capsys.readouterr().out)
    found = [check for check in said["checks"] if check["name"] == "signature"]
    return (code, found[0]["ok"], found[0]["detail"]) if found else (code, None, "")


def test_a_signed_release_verifies_with_the_signers_key_and_says_so_without_it(signed, keys, capsys):
    assert verdict(signed, capsys, "--key", str(keys["mine.pub"]))[:2] == (0, True)
    code, ok, detail = verdict(signed, capsys)
    assert (code, ok, "signed, not checked" in detail) == (0, None, True)


def test_another_key_and_a_missing_signature_are_refused(signed, release, keys, capsys):
    assert verdict(signed, capsys, "--key", str(keys["other.pub"]))[:2] == (1, False)
    assert verdict(release, capsys, "--key", str(keys["mine.pub"]))[:2] == (1, False)
    assert verdict(release, capsys) == (0, None, "")


def change(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1] + b" ")


TOUCHES = {
    "README.md": lambda folder: change(folder, "README.md"),
    "release.json": lambda folder: change(folder, "release.json"),
    "config.json": lambda folder: change(folder, "config.json"),
    "model-00001-of": lambda folder: change(folder, min(p.name for p in folder.glob("*.safetensors"))),
    "more.txt": lambda folder: (folder / "more.txt").write_text("more"),
    "sparsity.csv": lambda folder: (folder / "sparsity.csv").unlink(),
}


@pytest.mark.parametrize("name", TOUCHES)
def test_any_file_that_was_altered_added_or_removed_breaks_the_signature_and_is_named(name, signed, keys, capsys):
    TOUCHES[name](signed)
    code, ok, detail = verdict(signed, capsys, "--key", str(keys["mine.pub"]))
    assert (code, ok) == (1, False)
    assert name in detail


@pytest.mark.long
def test_the_package_itself_accepts_what_was_signed_here(signed, keys):
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(signed)]
    options = ["--signature", str(signed / "model.sig"), "--public_key", str(keys["mine.pub"])]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    change(signed, "config.json")
    assert subprocess.run([*command, *options], capture_output=True, text=True).returncode != 0


def test_signing_again_changes_nothing_and_a_void_signature_is_replaced_or_removed(signed, keys, console):
    before, signer = (signed / "model.sig").read_bytes(), signing.signer(keys["mine"])
    signer.seal(signed, console)
    signing.settle(signed, None, console)
    assert (signed / "model.sig").read_bytes() == before
    change(signed, "README.md")
    signer.seal(signed, console)
    after = (signed / "model.sig").read_bytes()
    assert signing.check(after, signing.signed_files(Folder(signed)), keys["mine.pub"]).ok
    change(signed, "config.json")
    signing.settle(signed, None, console)
    assert not (signed / "model.sig").exists()


@pytest.mark.parametrize("name", ["text", "missing", "mine.pub", "mine-locked", "curve", "edwards"])
def test_a_key_that_cannot_sign_is_refused_before_any_work(name, keys, base_folders, tmp_path, capsys):
    words = ["publish", str(base_folders["llama"]), "--method", "random", "--sparsity", "0.3", "--local"]
    assert run([*words, "--out", str(tmp_path / "out"), "--sign", str(keys[name])]) == 2
    assert "--sign" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["text", "missing", "mine", "curve.pub"])
def test_a_key_that_cannot_check_is_refused(name, keys, signed, capsys):
    assert run(["verify", str(signed), "--key", str(keys[name])]) == 2
    assert "--key" in capsys.readouterr().err


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_altered_signature_passes_or_makes_it_fail(data, sealed, keys):
    whole, digests = (sealed / "model.sig").read_bytes(), signing.signed_files(Folder(sealed))
    text = json.loads(whole)
    place = data.draw(st.integers(0, len(whole) - 1))
    other = bytes([data.draw(st.integers(0, 255))])
    pieces = [whole[:place], whole[:place] + other + whole[place + 1 :], b"", b"{}", b"[]", b"[" * 9999]
    pieces += [json.dumps(text | {key: value}).encode() for key in text for value in (None, [], {}, "x")]
    altered = data.draw(st.sampled_from(pieces))
    checked = signing.check(altered, digests, keys["mine.pub"])
    assert checked.ok is False or meaning(altered) == meaning(whole)


def meaning(signature: bytes) -> tuple[bytes, bytes]:
    """What is signed, and the signature; a space, or a bit that base64 does not use, changes neither."""
    envelope = json.loads(signature)["dsseEnvelope"]
    return base64.b64decode(envelope["payload"]), base64.b64decode(envelope["signatures"][0]["sig"])


@pytest.mark.long
def test_a_release_is_signed_on_its_way_to_the_hub_and_verifies_from_there(release, keys, tmp_path):
    folder = checkpoints.copy(release, tmp_path / "model")
    with remote.client(tmp_path) as client:
        words = ["push", str(folder), "--to", "lab", "--sign", str(keys["mine"]), "--json"]
        pushed = client.run(*words, token=client.hub.token)
        assert pushed["code"] == 0, pushed["err"]
        assert json.loads(client.run(*words, token=client.hub.token)["out"])["changed"] is False
        repo_id = json.loads(pushed["out"])["model_url"].removeprefix(client.hub.url + "/")
        code, answer = client.verify(repo_id, "--key", str(keys["mine.pub"]))
        assert (code, answer["checks"][-1]["name"], answer["checks"][-1]["ok"]) == (0, "signature", True)
        remote.alter(client.hub, repo_id, "tokenizer.json", 9)
        code, answer = client.verify(repo_id, "--key", str(keys["mine.pub"]))
        assert (code, answer["checks"][-1]["ok"], "tokenizer.json" in answer["checks"][-1]["detail"]) == (
            1,
            False,
            True,
        )


@pytest.mark.parametrize("option", ["--sign", "--key"])
def test_without_the_package_the_way_to_get_it_is_named(option, release, tmp_path, capsys, monkeypatch):
    # Python then finds no such package, as where it is not installed.
    for name in ("model_signing", "cryptography"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "key").write_text("no key")
    folder = checkpoints.copy(release, tmp_path / "model")
    (folder / "model.sig").write_text("{}")
    command = ["verify", str(folder)] if option == "--key" else ["push", str(folder)]
    assert run([*command, option, str(tmp_path / "key")]) == 2
    assert "prunecard[signing]" in capsys.readouterr().err


CLAIMS = {"aud": "sigstore", "sub": "ada@example.org", "iss": "https://issuer.example", "iat": 1, "exp": 2**33}
HELD_BACK = "c2VjcmV0LXNpZ25hdHVyZQ"
"""The last part of the token: whoever holds it signs as Ada."""


def token(**changes: object) -> str:
    """An identity token as a provider hands it out; who made it is not asked here."""
    parts = ({"alg": "RS256", "typ": "JWT"}, CLAIMS | changes)
    made = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*made, HELD_BACK])


@pytest.fixture
def instance(tmp_path, monkeypatch) -> Path:
    """A Sigstore instance that trusts what the public one trusts, and where nobody answers."""
    import sigstore

    kept = Path(sigstore.__file__).parent / "_store" / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
    nobody = (kept / "signing_config.v0.2.json").read_text()
    for host in ("fulcio.sigstore.dev", "rekor.sigstore.dev", "oauth2.sigstore.dev/auth", "timestamp.sigstore.dev"):
        nobody = nobody.replace(f"https://{host}", "http://127.0.0.1:9")
    trusted = json.loads((kept / "trusted_root.json").read_text())
    kind = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
    path = tmp_path / "trust.json"
    path.write_text(json.dumps({"mediaType": kind, "trustedRoot": trusted, "signingConfig": json.loads(nobody)}))
    monkeypatch.setenv("RELEASE_TRUST_CONFIG", str(path))
    return path


AS_ADA = ["--identity", "ada@example.org", "--identity-provider", "https://issuer.example"]


def test_a_signature_by_a_key_is_no_identitys(signed, instance, capsys):
    code, ok, detail = verdict(signed, capsys, *AS_ADA)
    assert (code, ok) == (1, False)
    assert detail


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (AS_ADA[:2], "belong together"),
        (AS_ADA[2:], "belong together"),
        ([*AS_ADA, "--key", "k.pem"], "exclude each other"),
        (["--identity", "a" * 400, *AS_ADA[2:]], "more than"),
    ],
)
def test_half_an_identity_or_two_signers_are_refused(words, said, signed, capsys):
    assert run(["verify", str(signed), *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("given", ["x", token(exp=2), token(aud="else"), "a.b.c"])
def test_an_identity_token_that_is_void_is_refused_before_any_work_and_never_quoted(
    given, instance, base_folders, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("SIGSTORE_IDENTITY_TOKEN", given)
    words = ["publish", str(base_folders["llama"]), "--method", "random", "--sparsity", "0.3", "--local"]
    assert run([*words, "--out", str(tmp_path / "out"), "--sign", "sigstore"]) == 2
    said = capsys.readouterr()
    assert "identity token is not valid" in said.err
    assert HELD_BACK not in said.out + said.err
    assert not (tmp_path / "out").exists()


def test_where_sigstore_does_not_answer_nothing_is_signed_and_the_token_is_nowhere(
    release, instance, console, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("SIGSTORE_IDENTITY_TOKEN", token())
    caplog.set_level("DEBUG")
    folder = checkpoints.copy(release, tmp_path / "model")
    with pytest.raises(HubFailed) as failed:
        signing.signer(Path("sigstore")).seal(folder, console)
    everything = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert HELD_BACK not in everything
    assert not [path for path in folder.iterdir() if "sig" in path.name]


def test_without_an_identity_to_sign_with_the_ways_to_one_are_named(instance, release, monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("SIGSTORE_IDENTITY_TOKEN", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    folder = checkpoints.copy(release, tmp_path / "model")
    assert run(["push", str(folder), "--sign", "sigstore"]) == 2
    assert "SIGSTORE_IDENTITY_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{}", "[]", "x", '{"mediaType": 3}'])
def test_a_trust_configuration_that_cannot_be_read_is_named(content, instance, signed, capsys):
    instance.write_text(content)
    assert run(["verify", str(signed), *AS_ADA]) == 2
    assert "RELEASE_TRUST_CONFIG" in capsys.readouterr().err


HIDDEN = (".x", "__pycache__/config.cpython-311.pyc", "._x.safetensors", ".cache/x/y", "a\x1bb")


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_file_in_a_signed_release_is_not_covered_and_therefore_refused(name, signed, keys, capsys):
    (signed / name).parent.mkdir(parents=True, exist_ok=True)
    (signed / name).write_text("x")
    code, ok, detail = verdict(signed, capsys, "--key", str(keys["mine.pub"]))
    assert (code, ok) == (1, False)
    assert one_line(name) in detail


def test_what_git_and_the_hubs_client_leave_in_a_folder_is_no_part_of_what_is_signed(signed, keys, capsys):
    for name in (".gitattributes", ".cache/huggingface/download/x.metadata", "figures/.DS_Store"):
        (signed / name).parent.mkdir(parents=True, exist_ok=True)
        (signed / name).write_text("x")
    assert verdict(signed, capsys, "--key", str(keys["mine.pub"]))[:2] == (0, True)


class _Provider(BaseHTTPRequestHandler):
    """Says where one would log in, and nothing else."""

    def do_GET(self) -> None:
        said = json.dumps({"authorization_endpoint": "http://127.0.0.1:9/a", "token_endpoint": "http://127.0.0.1:9/t"})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def answering(instance) -> Iterator[Path]:
    """The same instance, where one could log in; its authority and its log still do not answer."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = json.loads(instance.read_text())
        for service in config["signingConfig"]["oidcUrls"]:
            service["url"] = f"http://127.0.0.1:{server.server_port}"
        instance.write_text(json.dumps(config))
        yield instance
        server.shutdown()


GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "lab/models/.github/workflows/release.yml@refs/heads/main"
WHO: list[tuple[dict[str, object], tuple[str, str] | None]] = [
    ({}, ("ada@example.org", "https://issuer.example")),
    ({"federated_claims": {"connector_id": "https://id.example"}}, ("ada@example.org", "https://id.example")),
    (
        {"iss": "https://accounts.google.com", "sub": "7", "email": "a@b.example"},
        ("a@b.example", "https://accounts.google.com"),
    ),
    (
        {"iss": GITHUB, "sub": "repo:lab/models", "job_workflow_ref": WORKFLOW},
        (f"https://github.com/{WORKFLOW}", GITHUB),
    ),
    ({"sub": "project_path:lab/models"}, None),
    ({"sub": "a@\x1b[2J"}, None),
    ({"sub": "a@" + "b" * 400}, None),
    ({"iss": "https://issuer.example/\u202e"}, None),
]


@pytest.mark.parametrize(("claims", "named"), WHO)
def test_the_card_names_whom_the_certificate_will_name_or_nobody(claims, named, answering, console, monkeypatch):
    monkeypatch.setenv("SIGSTORE_IDENTITY_TOKEN", token(**claims))
    found = signing.signer(Path("sigstore")).signed_as(console)
    assert (found and (found.name, found.provider)) == named


def test_a_key_is_not_named(keys, console):
    assert signing.signer(keys["mine"]).signed_as(console) is None


def everything(folder: Path) -> str:
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


def test_record_and_card_name_the_identity_and_without_its_signature_the_release_does_not_verify(
    answering, base_folders, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("SIGSTORE_IDENTITY_TOKEN", token())
    off = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]
    words = ["publish", str(base_folders["llama"]), "--method", "random", "--sparsity", "0.3", "--local", *off]
    assert run([*words, "--out", str(tmp_path / "out"), "--sign", "sigstore"]) == 3  # no authority answers
    said = capsys.readouterr()
    model = next((tmp_path / "out").iterdir()) / "model"
    assert json.loads((model / "release.json").read_text())["signed_as"] == {
        "name": "ada@example.org",
        "provider": "https://issuer.example",
    }
    card = (model / "README.md").read_text()
    assert "release verify . --identity ada@example.org --identity-provider https://issuer.example" in card
    secrets = (HELD_BACK, token().split(".")[1])
    assert not any(secret in text for secret in secrets for text in (everything(tmp_path), said.out, said.err))

    def checks(*more: str) -> tuple[int, bool | None]:
        capsys.readouterr()
        code = run(["verify", str(model), *more, "--json"])
        answer = json.loads(capsys.readouterr().out)
        return code, {check["name"]: check["ok"] for check in answer["checks"]}["signer on record"]

    assert checks() == (1, False)
    (model / "model.sig").write_text("{}")
    assert checks() == (0, None)
    assert checks(*AS_ADA) == (1, True)  # nothing but the signature itself is wrong
    assert checks("--identity", "eve@example.org", *AS_ADA[2:]) == (1, False)
    assert run([*words, "--out", str(tmp_path / "out")]) == 0
    assert json.loads((model / "release.json").read_text())["signed_as"] is None
    assert "--identity" not in (model / "README.md").read_text()
    assert verdict(model, capsys) == (0, None, "")


@pytest.mark.long
def test_a_push_names_the_identity_and_one_that_is_not_signed_any_more_names_nobody(
    answering, release, tmp_path, monkeypatch
):
    monkeypatch.setenv("SIGSTORE_IDENTITY_TOKEN", token())
    folder = checkpoints.copy(release, tmp_path / "model")
    with remote.client(tmp_path / "world") as client:
        said = client.run("push", str(folder), "--to", "lab", "--sign", "sigstore", token=client.hub.token)
        assert said["code"] == 3, said["err"]
        assert json.loads((folder / "release.json").read_text())["signed_as"]["name"] == "ada@example.org"
        assert "--identity ada@example.org" in (folder / "README.md").read_text()
        assert HELD_BACK not in everything(tmp_path) + said["out"] + said["err"]
        said = client.run("push", str(folder), "--to", "lab", "--json", token=client.hub.token)
        assert said["code"] == 0, said["err"]
        repo_id = json.loads(said["out"])["model_url"].removeprefix(client.hub.url + "/")
        code, answer = client.verify(repo_id)
        assert (code, "signer on record" in {check["name"] for check in answer["checks"]}) == (0, False)

"""A stand-in for the Hugging Face Hub on loopback: the few endpoints that an upload calls."""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from huggingface_hub import constants

TOKEN = "hf_toy"


class FakeHub(ThreadingHTTPServer):
    """A hub with one user, `me`, whose token is `TOKEN`; it keeps files in memory.

    Attributes:
        repos: OWNER/NAME -> file -> content.
        private: Repositories created as private.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos, self.private, self.objects = {}, set(), {}
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


@contextlib.contextmanager
def hub_session(monkeypatch, folder):
    """Make huggingface_hub talk to a stand-in, as HF_ENDPOINT and HF_HUB_DISABLE_XET would.

    Args:
        monkeypatch: pytest's.
        folder: Folder for its cache; there is no stored login.
    """
    hub = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                        hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, content=b"", headers=()):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Length": len(content), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self):
        hub, path = self.server, self.path.partition("?")[0]
        if path == "/api/whoami-v2":
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            return self.answer(200, dict(name="me", orgs=[])) if known else self.answer(401)
        owner, name, *rest = path.strip("/").split("/")
        files = hub.repos.get(f"{owner}/{name}")
        if files is None or rest[:2] != ["resolve", "main"]:
            return self.answer(404, headers={"X-Error-Code": "RepoNotFound"})
        content = files.get("/".join(rest[2:]))
        if content is None:
            return self.answer(404, headers={"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(content).hexdigest()
        return self.answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": "c" * 40})

    do_HEAD = do_GET

    def do_POST(self):
        hub, content = self.server, self.body()
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:3] == ["api", "repos", "create"]:
            asked = json.loads(content)
            repo = f"{asked['organization']}/{asked['name']}"
            if asked["organization"] != "me":
                return self.answer(403, dict(error="no rights"))
            if repo in hub.repos:
                return self.answer(409, dict(url=f"{hub.url}/{repo}"))
            hub.repos[repo] = {}
            if asked.get("private") or asked.get("visibility") == "private":
                hub.private.add(repo)
            return self.answer(200, dict(url=f"{hub.url}/{repo}"))
        if parts == ["api", "validate-yaml"]:
            return self.answer(200, dict(errors=[], warnings=[]))
        if parts[-1] == "batch":  # of git-lfs
            objects = [
                one | dict(actions=dict(upload=dict(href=f"{hub.url}/lfs/{one['oid']}")))
                for one in json.loads(content)["objects"]]
            return self.answer(200, dict(transfer="basic", objects=objects))
        files = hub.repos["/".join(parts[2:4])]
        if parts[4] == "preupload":
            answers = [
                dict(path=file["path"], shouldIgnore=False,
                     uploadMode="lfs" if file["path"].endswith(".safetensors") else "regular")
                for file in json.loads(content)["files"]]
            return self.answer(200, dict(files=answers))
        for line in map(json.loads, content.splitlines()):  # a commit
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                files[value["path"]] = hub.objects[value["oid"]]
        commit = "c" * 40
        url = f"{hub.url}/{'/'.join(parts[2:4])}/commit/{commit}"
        return self.answer(200, dict(commitUrl=url, commitOid=commit))

    def do_PUT(self):
        content = self.body()
        self.server.objects[hashlib.sha256(content).hexdigest()] = content
        self.answer(200)

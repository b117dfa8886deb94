"""An API server of Kubernetes that does nothing with what it is given: it writes down who wrote
what, ends each Job as it was told to, and takes every rollout for finished.

Only what `kubectl apply`, `wait`, `logs`, `delete` and `rollout status` ask for.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
KINDS = {  # the kinds of each version, by the plural in their addresses
    "v1": {
        "namespaces": "Namespace",
        "configmaps": "ConfigMap",
        "services": "Service",
        "pods": "Pod",
    },
    "apps/v1": {"deployments": "Deployment"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "batch/v1": {"jobs": "Job"},
    "networking.k8s.io/v1": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}
TAKES = 0.3  # seconds that a Job runs, from when somebody waits for it


class Write(NamedTuple):
    """Who was written, and whether a Job had been done by then."""

    method: str
    kind: str
    name: str
    after_a_job: bool


class Cluster:
    """Serves on a free port until `close`."""

    def __init__(self, job_ends: str) -> None:
        self.job_ends = job_ends  # Complete or Failed
        self.writes: list[Write] = []
        self.objects: dict[tuple[str, str], Json] = {}
        self._done_at: float | None = None
        api = type("Api", (Api,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), api)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, path: Path) -> Path:
        url = f"http://127.0.0.1:{self._server.server_port}"
        named = {"name": "here"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [named | {"cluster": {"server": url}}],
            "users": [named | {"user": {}}],
            "contexts": [named | {"context": {"cluster": "here", "user": "here"}}],
        }
        path.write_text(json.dumps(content))
        return path

    def write(self, method: str, kind: str, name: str, body: Json) -> Json:
        self.writes.append(Write(method, kind, name, self._job_is_done()))
        found = self.objects.setdefault((kind, name), body)
        if kind == "Job" and method == "POST":
            found["spec"]["selector"] = {"matchLabels": {"job-name": name}}
        if kind == "Deployment":
            found["metadata"]["generation"] = 1
            found["spec"].setdefault("replicas", 1)
        return found

    def read(self, kind: str, name: str) -> Json | None:
        found = self.objects.get((kind, name))
        if found and kind == "Job" and self._job_is_done():
            found["status"] = {"conditions": [{"type": self.job_ends, "status": "True"}]}
        if found and kind == "Deployment":
            count = found["spec"]["replicas"]
            counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
            found["status"] = {"observedGeneration": 1} | dict.fromkeys(counts, count)
        return found

    def wait_for(self, kind: str) -> None:
        """Somebody does: a Job does not run before, so that no test depends on who is faster."""
        if kind == "Job" and self._done_at is None:
            self._done_at = time.monotonic() + TAKES

    def _job_is_done(self) -> bool:
        return self._done_at is not None and time.monotonic() >= self._done_at


class Api(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        version, namespace, plural, name, sub = _address(url.path)
        if sub == "log":
            self._send(200, b"migrated", "text/plain")
        elif plural == "pods":
            self._answer(200, _listed("v1", "Pod", [_pod(namespace)]))
        elif version and plural and name:
            found = self.cluster.read(KINDS[version][plural], name)
            self._answer(200, found) if found else self._answer(404, _status("NotFound", 404))
        elif version and plural:
            self._list(version, KINDS[version][plural], query)
        else:
            self._discover(url.path, version)

    def do_POST(self) -> None:
        body = self._body()
        written = self.cluster.write("POST", body["kind"], body["metadata"]["name"], body)
        self._answer(201, written)

    def do_PATCH(self) -> None:
        version, _, plural, name, _ = _address(urlsplit(self.path).path)
        assert version and name
        self._answer(200, self.cluster.write("PATCH", KINDS[version][plural], name, self._body()))

    def do_DELETE(self) -> None:
        self._answer(404, _status("NotFound", 404))

    def _list(self, version: str, kind: str, query: dict[str, list[str]]) -> None:
        """All objects of a kind, or the one that is asked for; watched, each time that it is other
        than before."""
        self.cluster.wait_for(kind)
        name = query.get("fieldSelector", ["="])[0].partition("=")[2]
        if "watch" not in query:
            found = self.cluster.read(kind, name)
            return self._answer(200, _listed(version, kind, [found] if found else []))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        before = json.dumps(self.cluster.read(kind, name))
        for _ in range(100):
            if (now := json.dumps(self.cluster.read(kind, name))) != before:
                event = {"type": "MODIFIED", "object": json.loads(now)}
                self.wfile.write(json.dumps(event).encode() + b"\n")
                return None
            time.sleep(0.05)
        return None

    def _discover(self, path: str, version: str) -> None:
        if path == "/api":
            return self._answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        if path == "/apis":
            groups = [_group(each) for each in KINDS if "/" in each]
            return self._answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        if version in KINDS:
            resources = [_resource(*each) for each in KINDS[version].items()]
            found = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version}
            return self._answer(200, found | {"resources": resources})
        if path == "/openapi/v3":
            paths = {each: {"serverRelativeURL": "/openapi/v3/all"} for each in map(_path, KINDS)}
            return self._answer(200, {"paths": paths})
        if path == "/openapi/v3/all":
            return self._answer(200, _validation())
        return self._answer(404, _status("NotFound", 404))

    def _body(self) -> Json:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))  # type: ignore[no-any-return]

    def _answer(self, status: int, body: Json) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def _address(path: str) -> tuple[str, str, str, str, str]:
    """Version, namespace, plural, name and what of it, of /apis/batch/v1/namespaces/a/jobs/b/log;
    empty where it has none."""
    parts = path.strip("/").split("/")
    core = parts[0] == "api"
    version = "/".join(parts[1 : 2 if core else 3])
    rest = parts[2 if core else 3 :]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, sub = [*rest, "", "", ""][:3]
    return version, namespace, plural, name, sub


def _path(version: str) -> str:
    return f"apis/{version}" if "/" in version else f"api/{version}"


def _validation() -> Json:
    """That the server looks at fields itself: so kubectl does not ask for all there are."""
    parameters = [{"name": "fieldValidation", "in": "query"}]
    paths = {}
    for version, kinds in KINDS.items():
        for kind in kinds.values():
            group, _, number = version.rpartition("/")
            of = {"group": group, "version": number, "kind": kind}
            patch = {"x-kubernetes-group-version-kind": of, "parameters": parameters}
            paths[f"/{version}/{kind}"] = {"patch": patch | {"responses": {}}}
    return {"openapi": "3.0.0", "info": {"title": "", "version": ""}, "paths": paths}


def _group(version: str) -> Json:
    group = version.partition("/")[0]
    found = {"groupVersion": version, "version": version.partition("/")[2]}
    return {"name": group, "versions": [found], "preferredVersion": found}


def _resource(plural: str, kind: str) -> Json:
    verbs = ["create", "delete", "get", "list", "patch", "watch"]
    namespaced = kind != "Namespace"
    return {"name": plural, "kind": kind, "namespaced": namespaced, "verbs": verbs}


def _listed(version: str, kind: str, items: list[Json]) -> Json:
    return {
        "apiVersion": version,
        "kind": f"{kind}List",
        "metadata": {"resourceVersion": "1"},
        "items": items,
    }


def _pod(namespace: str) -> Json:
    return {
        "metadata": {"name": "migrate-pod", "namespace": namespace},
        "spec": {"containers": [{"name": "migrate"}]},
        "status": {"phase": "Succeeded"},
    }


def _status(reason: str, code: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "reason": reason,
        "code": code,
        "message": "is not there",
    }

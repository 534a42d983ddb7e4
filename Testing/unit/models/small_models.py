"""Tiny real models and a real file server for the tests of `models`."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from pathlib import Path

import torch

from MaskWhatMattersLib.models import HubFile, HubModel, ModelCard, save_model


def network(width: int = 4) -> torch.nn.Module:
    """A network with weights, running statistics and an integer buffer."""
    return torch.nn.Sequential(torch.nn.Conv2d(1, width, 3), torch.nn.BatchNorm2d(width))


def card(name: str = "tiny", **fields: object) -> ModelCard:
    return ModelCard(
        **{"name": name, "version": "1.0", "architecture": "tiny-net", "licence": "Apache-2.0", **fields}  # type: ignore[arg-type]
    )


def saved(folder: Path, name: str = "tiny", **fields: object) -> Path:
    """A model file with its card."""
    path = folder / f"{name}.safetensors"
    save_model(network().state_dict(), card(name, **fields), path)
    return path


class FileServer:
    """Serves bytes on the loopback, with ranges, and can misbehave as servers do.

    Attributes:
        files: Content by path.
        requests: Path and Range header of each request so far.
        cut_after: Close the connection after so many bytes of an answer, once per entry.
        knows_ranges: False answers every request with everything.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: list[tuple[str, str | None]] = []
        self.cut_after: list[int] = []
        self.knows_ranges = True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.requests.append((request.path, wanted))
        if request.path not in self.files:
            request.send_error(404)
            return
        content = self.files[request.path]
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.knows_ranges else 0
        request.send_response(206 if first else 200)
        if first:
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(content) - first))
        request.end_headers()
        body = content[first:]
        request.wfile.write(body[: self.cut_after.pop(0)] if self.cut_after else body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def offer(server: FileServer, folder: Path, name: str = "tiny", **fields: object) -> HubModel:
    """Put a model on the server and describe it for hub.json."""
    path = saved(folder, name)
    contents = {"model.safetensors": path.read_bytes(), "model.json": path.with_suffix(".json").read_bytes()}
    server.files.update({f"/{name}/{file}": content for file, content in contents.items()})
    files = tuple(
        HubFile(
            name=file,
            url=f"{server.url}/{name}/{file}",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        for file, content in contents.items()
    )
    return HubModel(**{"name": name, "licence": "CC BY 4.0", "files": files, **fields})  # type: ignore[arg-type]


def write_hub(user_folder: Path, *models: HubModel) -> None:
    user_folder.mkdir(parents=True, exist_ok=True)
    (user_folder / "hub.json").write_text(json.dumps([model.model_dump(mode="json") for model in models]))

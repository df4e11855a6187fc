"""The YAML language server that editors run, asked as an editor asks it: over standard input and output."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue

SECONDS = 60.0
"""For which an answer is waited for, on a noisy machine."""
SETTINGS = {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}
"""As they are without any, but for the store of schemas, which is on the network."""


def server_program() -> str | None:
    """The program, where there is one: named by YAML_LANGUAGE_SERVER, or on the path."""
    return os.environ.get("YAML_LANGUAGE_SERVER") or shutil.which("yaml-language-server")


class LanguageServer:
    """A server that runs, and what it was told of files."""

    def __init__(self, program: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=folder
        )
        self.messages: Queue[dict] = Queue()
        self.number = self.files = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.ask("initialize", {"processId": os.getpid(), "rootUri": folder.as_uri(), "capabilities": {}})
        self.say("initialized", {})
        self.say("workspace/didChangeConfiguration", {"settings": {"yaml": SETTINGS}})

    def close(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def say(self, method: str, params: object, **more: object) -> None:
        """A message that asks for no answer."""
        text = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        self._write(text)

    def ask(self, method: str, params: object) -> object:
        """A message and its answer."""
        self.number += 1
        self.say(method, params, id=self.number)
        return self._until(lambda m: m.get("id") == self.number and "method" not in m)["result"]

    def diagnostics(self, *texts: tuple[Path, str]) -> list[list[tuple[int, str]]]:
        """(line from 1 on, message) of all that the server finds wrong with each text, in the folder of a file."""
        uris = [self._opened(beside, text) for beside, text in texts]
        said: dict[str, list[tuple[int, str]]] = {}
        while len(said) < len(uris):
            answer = self._until(
                lambda m: m.get("method") == "textDocument/publishDiagnostics" and m["params"]["uri"] in uris
            )["params"]
            said[answer["uri"]] = [(d["range"]["start"]["line"] + 1, d["message"]) for d in answer["diagnostics"]]
        for uri in uris:
            self.say("textDocument/didClose", {"textDocument": {"uri": uri}})
        return [said[uri] for uri in uris]

    def completions(self, beside: Path, text: str, line: int, column: int) -> dict[str, str]:
        """Label -> documentation of what the server offers at a place of a text; line and column from 1 on."""
        uri = self._opened(beside, text)
        at = {"textDocument": {"uri": uri}, "position": {"line": line - 1, "character": column - 1}}
        answer = self.ask("textDocument/completion", at)
        self.say("textDocument/didClose", {"textDocument": {"uri": uri}})
        items = answer["items"] if isinstance(answer, dict) else answer
        return {item["label"]: _text(item.get("documentation", "")) for item in items}

    def _opened(self, beside: Path, text: str) -> str:
        """Open a text under a name of its own in the folder of a file: what is said of it is of no text before."""
        self.files += 1
        uri = (beside.resolve().parent / f"text-{self.files}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.say("textDocument/didOpen", {"textDocument": document})
        return uri

    def _write(self, text: bytes) -> None:
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
        self.process.stdin.flush()

    def _until(self, is_answer) -> dict:
        """The first message that is the answer; what the server asks meanwhile is answered."""
        while True:
            try:
                message = self.messages.get(timeout=SECONDS)
            except Empty:
                raise TimeoutError("the language server says nothing") from None
            if is_answer(message):
                return message
            if "id" in message and "method" in message:
                result = None
                if message["method"] == "workspace/configuration":
                    result = [SETTINGS if item.get("section") == "yaml" else {} for item in message["params"]["items"]]
                self._write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())

    def _read(self) -> None:
        stream = self.process.stdout
        while header := stream.readline():
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                header = stream.readline()
            self.messages.put(json.loads(stream.read(length)))


def _text(documentation: object) -> str:
    return documentation.get("value", "") if isinstance(documentation, dict) else str(documentation)

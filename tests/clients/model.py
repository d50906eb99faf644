"""A scripted model on 127.0.0.1, for clients that speak Anthropic Messages, OpenAI Chat or
Responses, or Gemini generateContent.

It keeps no state. Each request carries the whole conversation, and what the model does next follows
from the results of its calls so far (a `Plan`), so a request that is repeated is answered alike.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

MAX_REQUESTS = 60
"""A conversation that has not ended by then never would."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """A tool as a client offers it. `kind` is what OpenAI Responses calls its type."""

    name: str
    namespace: str = ""
    kind: str = "function"


@dataclass(frozen=True)
class Call:
    """A call that the model makes, of a tool by its own name or of `write`, whatever that is."""

    tool: str
    arguments: Json


@dataclass(frozen=True)
class Result:
    """What the model was told of a call, by the names that `Call` uses; `search` is its own."""

    tool: str
    text: str


@dataclass
class Conversation:
    """What one request holds: the tools on offer, the calls by id, and the results in order."""

    tools: list[Tool] = field(default_factory=list)
    calls: dict[str, tuple[str, Any]] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)

    def answered(self, call_id: str, content: object) -> None:
        """Take in the result of a call."""
        self.results.append(Result(_plain(*self.calls[call_id]), _text(content)))


Plan = Callable[[Sequence[Result]], Call | None]
"""What to do next; None ends the conversation."""

Wired = tuple[Tool, Json | str]
"""A call as it goes over the wire: a tool on offer, and its arguments or free text."""


class FakeModel:
    """The server: a context manager."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seen: list[Conversation] = []
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self})
        )
        self._server.daemon_threads = True
        serve = partial(self._server.serve_forever, poll_interval=0.02)
        self._thread = threading.Thread(target=serve, daemon=True)

    def __enter__(self) -> FakeModel:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def offered(self) -> set[str]:
        """Every tool that the model was ever offered."""
        return {tool.name for seen in self._seen for tool in seen.tools}

    @property
    def results(self) -> list[Result]:
        """The results in the longest conversation."""
        return max((seen.results for seen in self._seen), key=len, default=[])

    def told(self, tool: str) -> list[str]:
        """What the model was told of its calls of *tool*."""
        return [result.text for result in self.results if result.tool == tool]

    def answer(self, conversation: Conversation) -> Wired | str:
        """The next call, or the closing words."""
        self._seen.append(conversation)
        if not conversation.tools:
            return "A note"  # a title or the like is wanted, beside the conversation
        call = self._plan([one for one in conversation.results if one.tool != "search"])
        if call is None:
            return "Done."
        if len(self._seen) > MAX_REQUESTS:
            return "Gave up."
        return _wired(call, conversation) or f"There is no tool {call.tool}."


# --- tools, as clients name them ------------------------------------------------------------------


def _patch(path: str, content: str) -> str:
    lines = "".join(f"+{line}\n" for line in content.splitlines())
    return f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch"


_WRITERS: dict[str, Callable[[str, str], Json | str]] = {
    "Write": lambda path, content: {"file_path": path, "content": content},
    "write": lambda path, content: {"filePath": path, "content": content},
    "write_file": lambda path, content: {"file_path": path, "content": content},
    "apply_patch": _patch,
}
_SEARCHES = ("ToolSearch", "tool_search")
_DISPATCHER = "tool_call"


def _plain(name: str, arguments: Any) -> str:  # noqa: ANN401  # what the client sent back
    if name == _DISPATCHER:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
        return _plain(given["name"], None)
    if name in _SEARCHES:
        return "search"
    if name in _WRITERS:
        return "write"
    return next((own for own in ("check_name", "request_consent") if name.endswith(own)), name)


def _wired(call: Call, seen: Conversation) -> Wired | None:
    """*call* with the tools on offer: itself, or through what finds tools that are kept back."""
    offered = {tool.name: tool for tool in seen.tools}
    if call.tool == "write":
        name = next((name for name in _WRITERS if name in offered), None)
        return (offered[name], _WRITERS[name](*call.arguments.values())) if name else None
    for tool in seen.tools:
        if tool.name.endswith(call.tool):
            return tool, call.arguments
    listed = "\n".join(result.text for result in seen.results if result.tool == "search")
    found = re.search(rf'"name":\s*"(\w*{call.tool})"', listed)
    if found and _DISPATCHER in offered:
        return offered[_DISPATCHER], {"name": found[1], "arguments": call.arguments}
    search = next((offered[name] for name in _SEARCHES if name in offered), None)
    return (search, {"query": call.tool}) if search else None


def _text(content: Any) -> str:  # noqa: ANN401  # any of the dialects' forms of content
    if isinstance(content, list):
        return "\n".join(map(_text, content))
    if isinstance(content, dict):
        return _text(content["text"]) if "text" in content else json.dumps(content)
    return "" if content is None else str(content)


# --- dialects -------------------------------------------------------------------------------------

Event = tuple[str, Json | str]
"""Of a stream: its kind, if it is named, and its data."""


class Messages:
    """Anthropic Messages."""

    @staticmethod
    def read(body: Json) -> Conversation:
        """The conversation that a request holds."""
        ready = [one for one in body.get("tools") or [] if not one.get("defer_loading")]
        seen = Conversation([Tool(one["name"]) for one in ready])
        for message in body["messages"]:
            for block in message["content"] if isinstance(message["content"], list) else []:
                if block["type"] == "tool_use":
                    seen.calls[block["id"]] = block["name"], block["input"]
                elif block["type"] == "tool_result":
                    seen.answered(block["tool_use_id"], block.get("content"))
        return seen

    @staticmethod
    def reply(answer: Wired | str, number: int) -> Json:
        """The response as a whole."""
        block: Json = {"type": "text", "text": answer}
        if not isinstance(answer, str):
            tool, arguments = answer
            block = {"type": "tool_use", "id": f"t{number}", "name": tool.name, "input": arguments}
        return {
            "id": f"m{number}", "type": "message", "role": "assistant", "model": "scripted",
            "content": [block], "stop_sequence": None,
            "stop_reason": "end_turn" if isinstance(answer, str) else "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }  # fmt: skip

    @staticmethod
    def events(reply: Json) -> Iterator[Event]:
        """The same response as a stream."""
        block = reply["content"][0]
        if block["type"] == "text":
            empty: Json = {"text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            empty = {"input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        stop = {"stop_reason": reply["stop_reason"], "stop_sequence": None}
        for kind, facts in (
            ("message_start", {"message": reply | {"content": [], "stop_reason": None}}),
            ("content_block_start", {"index": 0, "content_block": block | empty}),
            ("content_block_delta", {"index": 0, "delta": delta}),
            ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": stop, "usage": {"output_tokens": 1}}),
            ("message_stop", {}),
        ):
            yield kind, {"type": kind, **facts}


class Chat:
    """OpenAI Chat Completions."""

    @staticmethod
    def read(body: Json) -> Conversation:
        """The conversation that a request holds."""
        seen = Conversation([Tool(one["function"]["name"]) for one in body.get("tools") or []])
        for message in body["messages"]:
            for call in message.get("tool_calls") or []:
                made = call["function"]
                seen.calls[call["id"]] = made["name"], made["arguments"]
            if message["role"] == "tool":
                seen.answered(message["tool_call_id"], message["content"])
        return seen

    @staticmethod
    def reply(answer: Wired | str, number: int) -> Json:
        """The response as a whole."""
        message: Json = {"role": "assistant", "content": answer}
        if not isinstance(answer, str):
            made = {"name": answer[0].name, "arguments": json.dumps(answer[1])}
            call = {"id": f"c{number}", "type": "function", "function": made}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        reason = "stop" if isinstance(answer, str) else "tool_calls"
        return {
            "id": f"r{number}", "object": "chat.completion", "created": 0, "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }  # fmt: skip

    @staticmethod
    def events(reply: Json) -> Iterator[Event]:
        """The same response as a stream."""
        choice = reply["choices"][0]
        calls = choice["message"].get("tool_calls") or []
        numbered = [call | {"index": place} for place, call in enumerate(calls)]
        delta = choice["message"] | ({"tool_calls": numbered} if numbered else {})
        for piece in (
            {"index": 0, "delta": delta, "finish_reason": None},
            {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]},
        ):
            yield "", reply | {"object": "chat.completion.chunk", "choices": [piece]}
        yield "", "[DONE]"


class Responses:
    """OpenAI Responses."""

    _CALLS: ClassVar[dict[str, str]] = {
        "function": "function_call",
        "custom": "custom_tool_call",
        "tool_search": "tool_search_call",
    }

    @classmethod
    def read(cls, body: Json) -> Conversation:
        """The conversation that a request holds."""
        seen = Conversation(list(cls._tools(body.get("tools"))))
        for item in body["input"] if isinstance(body["input"], list) else []:
            kind = item.get("type", "message")
            if kind.endswith("_call") and "call_id" in item:
                given = item.get("arguments", item.get("input"))
                seen.calls[item["call_id"]] = item.get("name", "tool_search"), given
            elif kind.endswith("_output"):
                seen.tools += cls._tools(item.get("tools"))
                seen.answered(item["call_id"], item.get("output", item.get("tools")))
        return seen

    @classmethod
    def _tools(cls, offered: list[Json] | None, namespace: str = "") -> Iterator[Tool]:
        for one in offered or []:
            if one["type"] == "namespace":
                yield from cls._tools(one["tools"], one["name"])
            elif one["type"] in cls._CALLS:
                yield Tool(one.get("name") or one["type"], namespace, one["type"])

    @classmethod
    def _item(cls, answer: Wired | str, number: int) -> Json:
        if isinstance(answer, str):
            said = {"type": "output_text", "text": answer, "annotations": []}
            return {"type": "message", "id": f"m{number}", "role": "assistant", "content": [said]}
        tool, given = answer
        item = {"type": cls._CALLS[tool.kind], "id": f"i{number}", "call_id": f"c{number}"}
        if tool.kind == "tool_search":
            return item | {"execution": "client", "arguments": given}
        named = {"name": tool.name} | ({"namespace": tool.namespace} if tool.namespace else {})
        if tool.kind == "custom":
            return item | named | {"input": given}
        return item | named | {"arguments": json.dumps(given)}

    @classmethod
    def reply(cls, answer: Wired | str, number: int) -> Json:
        """The response as a whole."""
        return {
            "id": f"r{number}", "object": "response", "created_at": 0, "model": "scripted",
            "status": "completed", "error": None, "incomplete_details": None, "tools": [],
            "output": [cls._item(answer, number) | {"status": "completed"}],
            "instructions": None, "metadata": {}, "parallel_tool_calls": True,
            "tool_choice": "auto",
            "usage": {
                "input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2,
            },
        }  # fmt: skip

    @staticmethod
    def events(reply: Json) -> Iterator[Event]:
        """The same response as a stream."""
        item = reply["output"][0]
        begun = reply | {"status": "in_progress", "output": []}
        for number, (kind, facts) in enumerate((
            ("response.created", {"response": begun}),
            ("response.output_item.added", {"output_index": 0, "item": item}),
            ("response.output_item.done", {"output_index": 0, "item": item}),
            ("response.completed", {"response": reply}),
        )):  # fmt: skip
            yield kind, {"type": kind, "sequence_number": number, **facts}


class Gemini:
    """Gemini generateContent."""

    @staticmethod
    def read(body: Json) -> Conversation:
        """The conversation that a request holds."""
        groups = [one.get("functionDeclarations") or [] for one in body.get("tools") or []]
        seen = Conversation([Tool(one["name"]) for group in groups for one in group])
        for part in (part for content in body["contents"] for part in content["parts"]):
            if call := part.get("functionCall"):
                seen.calls[call.get("id", call["name"])] = call["name"], call.get("args")
            elif result := part.get("functionResponse"):
                seen.answered(result.get("id", result["name"]), result["response"])
        return seen

    @staticmethod
    def reply(answer: Wired | str, number: int) -> Json:
        """The response as a whole."""
        part: Json = {"text": answer}
        if not isinstance(answer, str):
            call = {"id": f"c{number}", "name": answer[0].name, "args": answer[1]}
            part = {"functionCall": call}
        candidate = {"index": 0, "content": {"role": "model", "parts": [part]}}
        return {
            "candidates": [candidate | {"finishReason": "STOP"}], "modelVersion": "scripted",
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
        }  # fmt: skip

    @staticmethod
    def events(reply: Json) -> Iterator[Event]:
        """The same response as a stream."""
        yield "", reply


DIALECTS: tuple[tuple[str, type[Messages | Chat | Responses | Gemini]], ...] = (
    (r"/messages$", Messages),
    (r"/chat/completions$", Chat),
    (r"/responses$", Responses),
    (r":(stream)?[gG]enerateContent$", Gemini),
)
"""By what a request's path ends in."""


# --- the wire -------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    fake: ClassVar[FakeModel]

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # as it is inherited
        """Say nothing: the results tell."""

    def do_GET(self) -> None:  # as the base class calls it
        """Offer no models by name, and no WebSocket."""
        self._send({"data": [], "models": []}, 200 if "models" in self.path else 404)

    def do_POST(self) -> None:
        """Answer in the dialect that the path names."""
        path = self.path.partition("?")[0]
        body = json.loads(self._body() or b"{}")
        for ending, dialect in DIALECTS:
            if re.search(ending, path):
                seen = dialect.read(body)
                reply = dialect.reply(self.fake.answer(seen), len(seen.calls))
                if body.get("stream") or ":stream" in path:
                    return self._stream(dialect.events(reply))
                return self._send(reply)
        return self._send({"input_tokens": 1, "totalTokens": 1})  # counting, or telemetry

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    def _send(self, reply: Json, status: int = 200) -> None:
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, events: Iterator[Event]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for kind, data in events:
            named = f"event: {kind}\n" if kind else ""
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"{named}data: {text}\n\n".encode())

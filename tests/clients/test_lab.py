"""The lab's own tests, and the one client that is installed wherever the server is."""

from __future__ import annotations

import json
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests import names
from tests.clients.clients import SDK
from tests.clients.conftest import MakeLab
from tests.clients.lab import Run, started_with
from tests.clients.model import MAX_REQUESTS, Call, FakeModel
from tests.clients.plans import NOTES, TEXT, obedient
from tests.human import Human

# --- the model ------------------------------------------------------------------------------------


def post(model: FakeModel, path: str, body: dict[str, Any]) -> str:
    """The model's response to *body*."""
    connection = HTTPConnection(model.url.removeprefix("http://"), timeout=10)
    connection.request("POST", path, json.dumps(body))
    response = connection.getresponse()
    assert response.status == 200
    text = response.read().decode()
    connection.close()
    return text


FUNCTION = {"name": "x_check_name"}
FIRST: dict[str, dict[str, Any]] = {
    "/v1/messages": {"tools": [FUNCTION], "messages": [{"role": "user", "content": "go"}]},
    "/v1/chat/completions": {
        "tools": [{"type": "function", "function": FUNCTION}],
        "messages": [{"role": "user", "content": "go"}],
    },
    "/v1/responses": {
        "tools": [{"type": "namespace", "name": "x", "tools": [{"type": "function", **FUNCTION}]}],
        "input": [{"role": "user", "content": "go"}],
    },
    "/v1beta/models/m:generateContent": {
        "tools": [{"functionDeclarations": [FUNCTION]}],
        "contents": [{"role": "user", "parts": [{"text": "go"}]}],
    },
}


def answered(path: str, reply: dict[str, Any], text: str) -> dict[str, Any]:
    """The request that follows on *reply*, whose call resulted in *text*."""
    if "messages" in path:
        block = reply["content"][0]
        result = {"type": "tool_result", "tool_use_id": block["id"], "content": text}
        more = [{"role": "assistant", "content": [block]}, {"role": "user", "content": [result]}]
        return FIRST[path] | {"messages": FIRST[path]["messages"] + more}
    if "chat" in path:
        message = reply["choices"][0]["message"]
        told = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": text}
        return FIRST[path] | {"messages": [*FIRST[path]["messages"], message, told]}
    if "responses" in path:
        item = reply["output"][0]
        told = {"type": "function_call_output", "call_id": item["call_id"], "output": text}
        return FIRST[path] | {"input": [*FIRST[path]["input"], item, told]}
    content = reply["candidates"][0]["content"]
    call = content["parts"][0]["functionCall"]
    response = {"id": call["id"], "name": call["name"], "response": {"output": text}}
    told = {"role": "user", "parts": [{"functionResponse": response}]}
    return FIRST[path] | {"contents": [*FIRST[path]["contents"], content, told]}


@pytest.mark.parametrize("path", FIRST)
def test_the_model_follows_its_plan_in_every_dialect(path: str) -> None:
    wanted = Call("check_name", {"name": names.COINED})
    with FakeModel(lambda results: None if results else wanted) as model:
        first = post(model, path, FIRST[path])
        assert "x_check_name" in first
        assert names.COINED in first
        assert post(model, path, FIRST[path]) == first  # a request repeated
        last = post(model, path, answered(path, json.loads(first), "the verdict"))
        assert "Done." in last
        assert len(model.told("check_name")) == 1
        assert "the verdict" in model.told("check_name")[0]
        assert model.offered == {"x_check_name"}


@pytest.mark.parametrize("path", FIRST)
def test_a_stream_says_what_the_whole_would(path: str) -> None:
    wanted = Call("check_name", {"name": names.COINED})
    with FakeModel(lambda _: wanted) as model:
        streamed = path.replace(":generate", ":streamGenerate")
        lines = post(model, streamed, FIRST[path] | {"stream": True}).splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert any("x_check_name" in event for event in events)
    assert any(names.COINED in event for event in events)
    assert ("[DONE]" in events) == ("chat" in path)


def test_tools_that_are_kept_back_are_searched_for_then_called() -> None:
    search = {"type": "function", "function": {"name": "tool_search"}}
    dispatcher = {"type": "function", "function": {"name": "tool_call"}}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    body = {"tools": [search, dispatcher], "messages": messages}
    path = "/v1/chat/completions"
    with FakeModel(lambda results: None if results else Call("check_name", {"name": "n"})) as model:
        reply = json.loads(post(model, path, body))["choices"][0]["message"]
        assert reply["tool_calls"][0]["function"]["name"] == "tool_search"
        found = {"role": "tool", "tool_call_id": reply["tool_calls"][0]["id"]}
        found["content"] = '{"name": "mcp__x__check_name"}'
        messages += [reply, found]
        made = json.loads(post(model, path, body))["choices"][0]["message"]["tool_calls"][0]
        assert made["function"]["name"] == "tool_call"
        assert json.loads(made["function"]["arguments"])["name"] == "mcp__x__check_name"


def test_a_conversation_without_end_is_ended() -> None:
    path = "/v1/chat/completions"
    with FakeModel(lambda _: Call("check_name", {})) as model:
        replies = [post(model, path, FIRST[path]) for _ in range(MAX_REQUESTS + 1)]
    assert ["Gave up." in reply for reply in replies] == [False] * MAX_REQUESTS + [True]


# --- the lab --------------------------------------------------------------------------------------


def test_nothing_that_a_client_started_survives_it_nor_sees_the_users_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import subprocess, sys, time;"
        "child = 'import os, time; print(os.environ[\"HOME\"], flush=True); time.sleep(60)';"
        "done = subprocess.Popen([sys.executable, '-c', child], start_new_session=True,"
        " stdout=subprocess.PIPE, text=True);"
        "print(done.stdout.readline(), flush=True)"
    )
    command = [sys.executable, "-c", program]
    with Run(command, tmp_path, {"HOME": str(home)}, home / "output.log") as run:
        assert run.ends() == 0
        assert run.output.strip() == str(home)
        assert len(started_with(str(home))) == 1
    assert started_with(str(home)) == []


# --- a client -------------------------------------------------------------------------------------


def test_the_sdks_client_writes_a_granted_name(make_lab: MakeLab) -> None:
    lab = make_lab(obedient, SDK)
    with SDK.start(lab) as run, Human(lab.repo, timeout=60) as human:
        assert human.grants() == names.COINED
        assert run.ends() == 0
    assert (lab.repo / NOTES).read_text() == TEXT
    assert {"check_name", "request_consent"} <= lab.model.offered


def test_the_sdks_client_leaves_out_a_refused_one(make_lab: MakeLab) -> None:
    lab = make_lab(obedient, SDK)
    with SDK.start(lab) as run, Human(lab.repo, timeout=60) as human:
        human.refuses("say it without the customer")
        assert run.ends() == 0
    assert not (lab.repo / NOTES).exists()
    assert "say it without the customer" in lab.model.told("request_consent")[-1]

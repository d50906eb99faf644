"""JSON Web Tokens: whatever its issuer did not sign for this server, and for now, is nobody's."""

from __future__ import annotations

import base64
import hmac
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from orgguard_mcp import issuers
from orgguard_mcp.access import Permission, Principal, Role, parse_permission
from orgguard_mcp.errors import UsageError
from orgguard_mcp.issuers import Issuer, Issuers
from orgguard_mcp.storage.seal import Keyring
from tests.ledgers import KEY, OTHER_KEY
from tests.names import COINED

ISSUER = "https://issuer.example.com"
AUDIENCE = "https://orgguard.example.com"
ASK = [parse_permission("ask")]
NEVER = 1e9


# --- keys that issuers have -----------------------------------------------------------------------


@cache
def private(kind: str, name: str) -> Any:  # noqa: ANN401
    """A key of its own for each *name*."""
    assert name
    if kind == "EC":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "OKP":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 1024 if "short" in name else 2048)


ALGORITHM = {"EC": (ECAlgorithm, "ES256"), "OKP": (OKPAlgorithm, "EdDSA")}


def public(name: str, kind: str = "EC", **words: str) -> dict[str, str]:
    """The key *name* as its issuer publishes it."""
    algorithm = ALGORITHM.get(kind, (RSAAlgorithm, "RS256"))[0]
    key = json.loads(algorithm.to_jwk(private(kind, name).public_key()))
    return key | {"kid": name} | words


def signed(
    name: str = "one", kind: str = "EC", algorithm: str = "", kid: str = "", **claims: object
) -> str:
    """A token that the key *name* signed; a claim that is None is left out."""
    words = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "exp": int(time.time()) + 300,
        "scope": "openid orgguard:ask:owner/*",
    } | claims  # fmt: skip
    return jwt.encode(
        {word: value for word, value in words.items() if value is not None},
        private(kind, name),
        algorithm or ALGORITHM.get(kind, (None, "RS256"))[1],
        headers={"kid": kid or name},
    )


def write(file: Path, *keys: dict[str, str]) -> Path:
    """Replace a file of keys, as a careful program does."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"keys": keys}))
    new.replace(file)
    return file


@pytest.fixture
def key_set(tmp_path: Path) -> Path:
    """A file with the key "one"."""
    return write(tmp_path / "jwks.json", public("one"))


@pytest.fixture
def trusted(key_set: Path) -> Issuers:
    return Issuers([Issuer(ISSUER, AUDIENCE, str(key_set))])


# --- tokens ---------------------------------------------------------------------------------------


def test_who_comes_with_a_valid_token_may_what_its_scopes_say(trusted: Issuers) -> None:
    until = int(time.time()) + 300
    found = trusted.find(signed(exp=until))
    assert found
    assert found.permissions == (parse_permission("ask:owner/*"),)
    assert (found.label, found.expires_at) == ("somebody", until)
    assert found.id.startswith("jwt:")
    assert len(found.id) == 20
    assert found.may(Role.ASK, "owner/name")
    assert not found.may(Role.ASK, "another/name")
    assert not found.may(Role.ANSWER, "owner/name")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://another.example.com"}, {"iss": ISSUER + "/"}, {"iss": ISSUER[:-1]},
        {"iss": None}, {"aud": "https://another.example.com"}, {"aud": AUDIENCE + "/"},
        {"aud": []}, {"aud": None}, {"aud": {AUDIENCE: 1}}, {"sub": None}, {"sub": 7},
        {"sub": ["a"]}, {"exp": None}, {"exp": 1}, {"exp": int(time.time()) - 60}, {"exp": "soon"},
        {"exp": float("inf")}, {"exp": float("nan")}, {"exp": [1]}, {"exp": 10**400},
        {"nbf": int(time.time()) + 3600}, {"iat": int(time.time()) + 3600}, {"nbf": "later"},
    ],
    ids=str,
)  # fmt: skip
def test_token_for_another_place_or_time_is_not_valid(
    trusted: Issuers, claims: dict[str, object]
) -> None:
    assert trusted.find(signed())
    assert trusted.find(signed(**claims)) is None


def test_clocks_may_be_a_little_apart(trusted: Issuers) -> None:
    now = int(time.time())
    assert trusted.find(signed(exp=now - 5, nbf=now - 10, iat=now - 10))
    assert trusted.find(signed(exp=now + 60, nbf=now + 15, iat=now + 15))


def test_one_of_several_audiences_may_be_this_server(trusted: Issuers) -> None:
    assert trusted.find(signed(aud=["https://another.example.com", AUDIENCE]))


def segment(words: object) -> str:
    text = words if isinstance(words, bytes) else json.dumps(words).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def forged(algorithm: str, signature: Callable[[bytes], bytes], **header: object) -> str:
    """A token whose header says *algorithm*, signed by hand."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "exp": int(time.time()) + 300}
    text = f"{segment({'alg': algorithm, 'kid': 'one'} | header)}.{segment(claims)}"
    return f"{text}.{segment(signature(text.encode()))}"


def test_token_without_a_signature_is_not_valid(trusted: Issuers) -> None:
    for algorithm in ("none", "None", "NONE", "", "ES256"):
        assert trusted.find(forged(algorithm, lambda _: b"")) is None
    head, claims, _ = signed().split(".")
    assert trusted.find(f"{head}.{claims}.") is None
    assert trusted.find(f"{head}.{claims}") is None


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_public_key_is_no_secret_to_sign_with(tmp_path: Path, kind: str) -> None:
    there = write(tmp_path / "keys", public("one", kind))
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, str(there))])
    assert trusted.find(signed("one", kind))
    key = private(kind, "one").public_key()
    texts = [
        key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
    ]
    for text in (*texts, json.dumps(public("one", kind)).encode(), b""):
        for algorithm, hashed in (("HS256", "sha256"), ("HS512", "sha512")):
            token = forged(algorithm, lambda data, t=text, h=hashed: hmac.digest(t, data, h))
            assert trusted.find(token) is None


def test_symmetric_key_in_a_key_set_is_not_used(tmp_path: Path) -> None:
    secret = b"s" * 32
    oct_key = {"kty": "oct", "kid": "one", "k": segment(secret), "alg": "HS256"}
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, str(write(tmp_path / "keys", oct_key)))])
    token = forged("HS256", lambda data: hmac.digest(secret, data, "sha256"))
    assert jwt.decode(token, secret, ["HS256"], audience=AUDIENCE)  # it is well made
    assert trusted.find(token) is None


@pytest.mark.parametrize("header", ["jwk", "jku", "x5u", "x5c"])
def test_token_does_not_bring_its_own_key(trusted: Issuers, header: str) -> None:
    own = public("own", "RSA")
    value = {"jwk": own, "jku": "http://127.0.0.1/", "x5u": "http://127.0.0.1/"}.get(header, ["a"])
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "exp": int(time.time()) + 300}
    for kid in ("one", "own"):
        headers = {"kid": kid, header: value}
        token = jwt.encode(claims, private("RSA", "own"), "RS256", headers=headers)
        assert trusted.find(token) is None


def test_token_is_signed_by_the_key_that_it_names(trusted: Issuers) -> None:
    assert trusted.find(signed("two", kid="one")) is None
    assert trusted.find(signed("one", kid="two")) is None
    assert trusted.find(signed("two")) is None


def test_altered_token_is_not_valid(trusted: Issuers) -> None:
    token = signed()
    assert trusted.find(token)
    for at in range(0, len(token), 3):
        for char in {"A", "z", "_", ".", " "} - {token[at]}:
            assert trusted.find(token[:at] + char + token[at + 1 :]) is None
    assert trusted.find(token + "\n") is None


def test_token_may_not_be_of_any_length(trusted: Issuers) -> None:
    assert trusted.find(signed(scope="a " * 2000))
    assert trusted.find(signed(scope="a " * 10_000)) is None


@given(st.text() | st.lists(st.text(), min_size=3, max_size=3).map(".".join))
def test_any_text_is_nobody_s_and_no_error(text: str) -> None:
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, os.devnull)])
    assert trusted.find(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
WORDS = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "iss", "aud", "sub", "exp", "nbf"])
SAID = st.dictionaries(WORDS, JSON | st.sampled_from([ISSUER, AUDIENCE, "one", "ES256"]))


@given(SAID | JSON, SAID | JSON)
def test_any_header_and_claims_are_nobody_s_and_no_error(header: object, claims: object) -> None:
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, os.devnull)])
    assert trusted.find(f"{segment(header)}.{segment(claims)}.AAAA") is None


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("EC", "ES256"), ("OKP", "EdDSA"), ("RSA", "RS256"), ("RSA", "RS512"), ("RSA", "PS256")],
)
def test_asymmetric_algorithms_are_taken_as_the_key_says(
    tmp_path: Path, kind: str, algorithm: str
) -> None:
    there = write(tmp_path / "keys", public("one", kind, alg=algorithm))
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, str(there))])
    assert trusted.find(signed("one", kind, algorithm))
    if kind == "RSA":
        another = "RS384" if algorithm != "RS384" else "RS256"
        assert trusted.find(signed("one", kind, another)) is None


def test_header_says_how_it_was_signed(tmp_path: Path) -> None:
    there = write(tmp_path / "keys", public("one", "RSA"))
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, str(there))])

    def sign(data: bytes) -> bytes:
        return bytes(private("RSA", "one").sign(data, padding.PKCS1v15(), hashes.SHA256()))

    assert trusted.find(forged("RS256", sign))
    assert trusted.find(forged("RS512", sign)) is None


@pytest.mark.parametrize("kind", ["EC", "RSA", "OKP"])
def test_private_key_in_a_key_set_is_not_used(tmp_path: Path, kind: str) -> None:
    algorithm = ALGORITHM.get(kind, (RSAAlgorithm, ""))[0]
    leaked = json.loads(algorithm.to_jwk(private(kind, "one"))) | {"kid": "one"}
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, str(write(tmp_path / "keys", leaked)))])
    assert trusted.find(signed("one", kind)) is None


@pytest.mark.parametrize("words", [{"use": "enc"}, {"alg": "HS256"}, {"kty": "no"}])
def test_keys_for_something_else_are_not_used(tmp_path: Path, words: dict[str, str]) -> None:
    there = write(tmp_path / "keys", public("one") | words, public("two"))
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, str(there))])
    assert trusted.find(signed("one")) is None
    assert trusted.find(signed("two"))


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_key_that_is_too_short_is_not_used(tmp_path: Path) -> None:
    there = write(tmp_path / "keys", public("short", "RSA"))
    trusted = Issuers([Issuer(ISSUER, AUDIENCE, str(there))])
    assert trusted.find(signed("short", "RSA")) is None


# --- who may what ---------------------------------------------------------------------------------


def who(key_set: Path, token: str, **words: Any) -> Principal:  # noqa: ANN401
    found = Issuers([Issuer(ISSUER, AUDIENCE, str(key_set), **words)]).find(token)
    assert found
    return found


@pytest.mark.parametrize(
    ("claim", "may"),
    [
        ("openid orgguard:ask:owner/* orgguard:answer:owner/a", ["ask:owner/*", "answer:owner/a"]),
        (["orgguard:ask", "email", 7, None, ["orgguard:answer"]], ["ask:*"]),
        ("ask:* answer administer:*", []),
        ("orgguard: orgguard:read orgguard:ask:[a-z] xorgguard:ask orgguard:ask:a", ["ask:a"]),
        ("orgguard:ask:a\u00a0orgguard:answer\torgguard:answer", []),
        ("", []), ([], []), (None, []), (7, []), ({"orgguard:ask": 1}, []), (True, []),
    ],
)  # fmt: skip
def test_permissions_are_the_scopes_with_the_prefix(
    key_set: Path, claim: object, may: list[str]
) -> None:
    found = who(key_set, signed(roles=claim, scope="orgguard:answer"), permissions_claim="roles")
    assert [str(permission) for permission in found.permissions] == may


def test_repository_of_a_ci_system_may_what_its_issuer_was_given(key_set: Path) -> None:
    words = {"may": tuple(ASK), "repository_claim": "repository"}
    token = signed(repository="owner/name", scope="orgguard:answer")
    found = who(key_set, token, **words)
    assert found.permissions == (Permission(Role.ASK, "owner/name"),)
    assert not found.may(Role.ASK, "owner/name2")


def test_repository_gets_no_more_than_the_issuer_was_given(key_set: Path) -> None:
    may = (parse_permission("ask:owner/*"), parse_permission("answer:owner/name"))
    words = {"may": may, "repository_claim": "repository"}
    for repository, permissions in {
        "owner/name": ["ask:owner/name", "answer:owner/name"],
        "owner/other": ["ask:owner/other"],
        "another/name": [],
    }.items():
        found = who(key_set, signed(repository=repository), **words)
        assert [str(permission) for permission in found.permissions] == permissions


@pytest.mark.parametrize(
    "repository",
    ["*", "owner/*", "o*", "**", "owner/?", "[a-z]*", "", "owner/name\n", None, 7, ["owner/name"]],
)
def test_pattern_in_the_repository_claim_opens_nothing(key_set: Path, repository: object) -> None:
    words = {"may": tuple(ASK), "repository_claim": "repository"}
    assert who(key_set, signed(repository=repository), **words).permissions == ()


@given(st.text("aZ/*?[]!-.", max_size=6), st.text("aZ/-.*?", min_size=1, max_size=6))
def test_repository_claim_is_for_no_other_repository(claimed: str, other: str) -> None:
    issuer = Issuer(ISSUER, AUDIENCE, "a file", may=tuple(ASK), repository_claim="repository")
    somebody = Principal("jwt:1", "", issuer.permissions({"repository": claimed}))
    assert not somebody.may(Role.ASK, other) or other == claimed


def test_issuers_of_one_name_are_told_apart_by_their_audience(tmp_path: Path) -> None:
    there = str(write(tmp_path / "keys", public("one")))
    for_ci = Issuer(ISSUER, "ci", there, may=tuple(ASK), repository_claim="repository")
    trusted = Issuers([for_ci, Issuer(ISSUER, AUDIENCE, there)])
    by_ci = trusted.find(signed(aud="ci", repository="owner/name"))
    by_human = trusted.find(signed(repository="owner/name"))
    assert by_ci
    assert by_human
    assert by_ci.permissions == (Permission(Role.ASK, "owner/name"),)
    assert by_human.permissions == (Permission(Role.ASK, "owner/*"),)
    assert trusted.find(signed(aud="another")) is None


def test_key_of_one_issuer_signs_for_no_other(tmp_path: Path) -> None:
    other = "https://another.example.com"
    trusted = Issuers([
        Issuer(ISSUER, AUDIENCE, str(write(tmp_path / "a", public("one")))),
        Issuer(other, AUDIENCE, str(write(tmp_path / "b", public("two")))),
    ])  # fmt: skip
    assert trusted.find(signed("one"))
    assert trusted.find(signed("two", iss=other))
    assert trusted.find(signed("two")) is None
    assert trusted.find(signed("one", iss=other)) is None


def test_ids_are_the_same_on_servers_of_one_store_and_tell_no_subject(key_set: Path) -> None:
    def id_of(keys: Keyring | None, issuer: str = ISSUER, subject: str = COINED) -> str:
        trusted = Issuers([Issuer(issuer, AUDIENCE, str(key_set))], keys)
        found = trusted.find(signed(iss=issuer, sub=subject))
        assert found
        assert found.label == subject
        assert COINED not in found.id
        return found.id

    there = id_of(Keyring([KEY]))
    assert id_of(Keyring([KEY])) == there
    others = [
        id_of(Keyring([KEY]), subject="another"), id_of(Keyring([OTHER_KEY])), id_of(None),
        id_of(Keyring([KEY]), "https://another.example.com"), id_of(None),
    ]  # fmt: skip
    assert len({there, *others}) == 6


@pytest.mark.parametrize(
    "words",
    [
        {"issuer": ""}, {"audience": ""}, {"jwks": ""}, {"jwks": "http://issuer.example.com/keys"},
        {"jwks": "file:///etc/keys"}, {"jwks": "https://"}, {"jwks": "http://localhost.example.com"},
        {"may": tuple(ASK)}, {"repository_claim": "repository"},
    ],
    ids=str,
)  # fmt: skip
def test_issuer_that_would_let_in_anybody_is_refused(words: dict[str, Any]) -> None:
    given_ = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": "https://issuer.example.com/keys"}
    assert Issuer(**given_)
    with pytest.raises(UsageError) as caught:
        Issuer(**given_ | words)
    assert caught.value.cause
    assert caught.value.hint
    assert "example.com" not in "\n".join(caught.value.lines())


# --- a file of keys -------------------------------------------------------------------------------


def test_keys_are_those_of_the_file_as_it_is_now(trusted: Issuers, key_set: Path) -> None:
    assert trusted.find(signed("one"))
    write(key_set, public("two"))
    assert trusted.find(signed("one")) is None
    assert trusted.find(signed("two"))
    key_set.unlink()
    assert trusted.find(signed("two")) is None
    write(key_set, public("one"))
    assert trusted.find(signed("one"))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"keys": {}}', '{"keys": []}', '{"keys": [7]}', "null", "\xff"]
)
def test_without_a_readable_key_set_nobody_is_known(
    trusted: Issuers, key_set: Path, text: str
) -> None:
    assert trusted.find(signed())
    key_set.write_bytes(text.encode("latin-1"))
    assert trusted.find(signed()) is None
    write(key_set, public("one"))
    assert trusted.find(signed())


# --- a URL of keys --------------------------------------------------------------------------------


class Site:
    """An issuer's key set, served on loopback. `asked` counts the fetches."""

    def __init__(self) -> None:
        self.keys: list[dict[str, str]] = [public("one")]
        self.status = 200
        self.elsewhere = ""
        self.padding = 0
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked += 1
                site.may_answer.wait(30)
                self.send_response(site.status)
                if site.elsewhere:
                    self.send_header("Location", site.elsewhere)
                self.end_headers()
                text = json.dumps({"keys": site.keys}) + " " * site.padding
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def end(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    serving = Site()
    yield serving
    serving.may_answer.set()
    serving.end()


@pytest.fixture
def by_url(site: Site) -> Issuers:
    return Issuers([Issuer(ISSUER, AUDIENCE, site.url)])


def test_keys_are_fetched_once_and_held(by_url: Issuers, site: Site) -> None:
    for _ in range(3):
        assert by_url.find(signed("one"))
    assert site.asked == 1


def test_new_key_is_fetched_when_a_token_names_it(
    by_url: Issuers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_url.find(signed("one"))
    site.keys = [public("two")]
    monkeypatch.setattr(issuers, "RETRY_SECONDS", 0)
    assert by_url.find(signed("two"))
    assert by_url.find(signed("one")) is None
    assert by_url.find(signed("two"))


def test_made_up_keys_make_no_flood_of_fetches(
    by_url: Issuers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "RETRY_SECONDS", NEVER)
    for number in range(20):
        assert by_url.find(signed("one", kid=f"key {number}")) is None
    assert site.asked == 1
    assert by_url.find(signed("one"))


def test_token_of_an_unknown_issuer_makes_no_fetch(by_url: Issuers, site: Site) -> None:
    assert by_url.find(signed("one", iss="https://another.example.com")) is None
    assert site.asked == 0


def test_removed_key_counts_no_more_when_the_keys_are_fetched_anew(
    by_url: Issuers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "RETRY_SECONDS", 0)
    assert by_url.find(signed("one"))
    site.keys = []
    assert by_url.find(signed("one"))
    monkeypatch.setattr(issuers, "FRESH_SECONDS", 0)
    assert by_url.find(signed("one")) is None


def test_keys_at_hand_are_used_while_the_url_is_away_but_not_for_ever(
    by_url: Issuers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "RETRY_SECONDS", 0)
    monkeypatch.setattr(issuers, "FRESH_SECONDS", 0)
    assert by_url.find(signed("one"))
    site.status = 500
    assert by_url.find(signed("one"))
    assert site.asked == 2
    monkeypatch.setattr(issuers, "STALE_SECONDS", 0)
    assert by_url.find(signed("one")) is None


def test_without_a_key_nobody_is_known_until_the_url_answers(
    by_url: Issuers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "RETRY_SECONDS", 0)
    site.status = 503
    assert by_url.find(signed("one")) is None
    site.status = 200
    assert by_url.find(signed("one"))


def test_url_that_nobody_serves_lets_nobody_in() -> None:
    gone = Site()
    gone.end()
    assert Issuers([Issuer(ISSUER, AUDIENCE, gone.url)]).find(signed("one")) is None


def test_url_that_does_not_answer_is_left_in_time(
    by_url: Issuers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "_TIMEOUT", 0.2)
    site.may_answer.clear()
    assert by_url.find(signed("one")) is None
    assert site.asked == 1


def test_keys_are_not_taken_from_elsewhere(by_url: Issuers, site: Site) -> None:
    other = Site()
    try:
        site.status, site.elsewhere = 302, other.url
        assert by_url.find(signed("one")) is None
        assert (site.asked, other.asked) == (1, 0)
    finally:
        other.end()


def test_key_set_without_end_is_not_read(
    by_url: Issuers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "RETRY_SECONDS", 0)
    site.padding = issuers._MAX_KEYS
    assert by_url.find(signed("one")) is None
    site.padding = 0
    assert by_url.find(signed("one"))


def test_who_comes_first_at_the_same_time_is_known_after_one_fetch(
    by_url: Issuers, site: Site
) -> None:
    site.may_answer.clear()
    token, found = signed("one"), []
    threads = [threading.Thread(target=lambda: found.append(by_url.find(token))) for _ in range(5)]
    for thread in threads:
        thread.start()
    site.may_answer.set()
    for thread in threads:
        thread.join(30)
    assert len(found) == 5
    assert all(found)
    assert site.asked == 1


def test_who_is_known_does_not_wait_for_a_fetch(
    by_url: Issuers, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_url.find(signed("one"))
    monkeypatch.setattr(issuers, "RETRY_SECONDS", 0)
    monkeypatch.setattr(issuers, "FRESH_SECONDS", 0)
    site.may_answer.clear()
    slow = threading.Thread(target=by_url.find, args=(signed("one", kid="two"),))
    slow.start()
    until = time.monotonic() + 30
    while site.asked < 2:
        assert time.monotonic() < until
        os.sched_yield()
    assert by_url.find(signed("one"))
    assert slow.is_alive()
    site.may_answer.set()
    slow.join(30)

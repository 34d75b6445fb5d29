"""Log-in, sessions, users."""

from __future__ import annotations

import base64
import json

import pytest

from tests.memory_installation import PASSWORD, MemoryInstallation, problem_code


def test_a_log_in_gives_tokens_that_work(vms: MemoryInstallation) -> None:
    tokens = vms.log_in()
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 900
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in"}
    me = vms.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me.json()["name"] == "admin"
    assert me.json()["role"] == "administrator"
    header = json.loads(base64.urlsafe_b64decode(tokens["access_token"].split(".")[0] + "=="))
    assert header["alg"] == "RS256"


@pytest.mark.parametrize(("name", "password"), [("admin", "wrong"), ("nobody", PASSWORD), ("admin", "x" * 4000)])
def test_wrong_credentials_are_told_alike(vms: MemoryInstallation, name: str, password: str) -> None:
    answer = vms.token_request(grant_type="password", username=name, password=password)
    assert answer.status_code == 401
    assert problem_code(answer) == "invalid-credentials"
    assert answer.json()["error"] == "invalid_grant"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_unknown_user_costs_a_hash_too(vms: MemoryInstallation, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str | None] = []

    def verify(_: object, known: str | None, __: str) -> bool:
        verified.append(known)
        return False

    monkeypatch.setattr(type(vms.rooms.access._hasher), "verify", verify)
    vms.token_request(grant_type="password", username="nobody", password="x")
    assert verified == [None]


def test_malformed_token_requests(vms: MemoryInstallation) -> None:
    assert vms.token_request(grant_type="password", username="admin").status_code == 422
    assert vms.token_request(grant_type="password", username="admin", password="").status_code == 422
    assert vms.token_request(grant_type="refresh_token").status_code == 422
    other = vms.token_request(grant_type="client_credentials")
    assert problem_code(other) == "unsupported-grant-type"


def test_a_refresh_renews_both_tokens(vms: MemoryInstallation) -> None:
    first = vms.log_in()
    vms.clock.advance(1000)
    second = vms.token_request(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    answer = vms.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {second['access_token']}"})
    assert answer.status_code == 200


def test_a_refresh_token_used_twice_ends_the_session(vms: MemoryInstallation) -> None:
    first = vms.log_in()
    second = vms.token_request(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    reuse = vms.token_request(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert reuse.status_code == 401
    assert problem_code(reuse) == "invalid-token"
    after = vms.token_request(grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert after.status_code == 401
    me = vms.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {second['access_token']}"})
    assert me.status_code == 401


def test_tokens_end(vms: MemoryInstallation) -> None:
    tokens = vms.log_in()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    vms.clock.advance(899)
    assert vms.anonymous.get("/api/v1/me", headers=headers).status_code == 200
    vms.clock.advance(2)
    assert problem_code(vms.anonymous.get("/api/v1/me", headers=headers)) == "invalid-token"
    vms.clock.advance(30 * 86_400)
    assert vms.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).status_code == 401


def test_each_kind_of_token_is_good_for_its_own_use(vms: MemoryInstallation) -> None:
    tokens = vms.log_in()
    me = vms.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {tokens['refresh_token']}"})
    assert me.status_code == 401
    assert vms.token_request(grant_type="refresh_token", refresh_token=tokens["access_token"]).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "Bearer"])
def test_tokens_that_are_none(vms: MemoryInstallation, token: str) -> None:
    answer = vms.anonymous.get("/api/v1/cameras", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert problem_code(answer) in {"invalid-token", "no-token"}


def test_an_altered_token_is_refused(vms: MemoryInstallation) -> None:
    head, body, signature = vms.log_in()["access_token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims["exp"] += 10**6
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for token in (f"{head}.{forged}.{signature}", f"{unsigned}.{forged}."):
        answer = vms.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def test_a_log_out_ends_both_tokens(vms: MemoryInstallation) -> None:
    tokens = vms.log_in()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert vms.anonymous.post("/api/v1/auth/logout", headers=headers).status_code == 204
    assert vms.anonymous.get("/api/v1/me", headers=headers).status_code == 401
    assert vms.token_request(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).status_code == 401


def test_users_are_added_listed_and_given_passwords(vms: MemoryInstallation) -> None:
    made = vms.client.post("/api/v1/users", json={"name": "ana", "password": "long enough", "role": "operator"})
    assert made.status_code == 201
    assert "password" not in made.text
    assert [user["name"] for user in vms.client.get("/api/v1/users").json()["items"]] == ["admin", "ana"]
    tokens = vms.log_in("ANA", "long enough")
    changed = vms.client.put("/api/v1/users/ana/password", json={"password": "another one"})
    assert changed.status_code == 204
    ended = vms.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert ended.status_code == 401
    vms.log_in("ana", "another one")


def test_users_that_cannot_be(vms: MemoryInstallation) -> None:
    def post(**user: str) -> int:
        return vms.client.post("/api/v1/users", json=user).status_code

    assert post(name="ana", password="short") == 422
    assert post(name="a b", password="long enough") == 422
    assert post(name="", password="long enough") == 422
    assert post(name="ana", password="long enough", role="king") == 422
    assert post(name="ana", password="long enough", extra="x") == 422
    assert post(name="ADMIN", password="long enough") == 409
    assert vms.client.put("/api/v1/users/nobody/password", json={"password": "long enough"}).status_code == 404


def test_roles_bound_what_users_may(vms: MemoryInstallation) -> None:
    camera_id = vms.add_camera()["id"]
    viewer = vms.as_user("eye", "viewer")
    operator = vms.as_user("op", "operator")
    assert viewer.get("/api/v1/cameras").status_code == 200
    for client in (viewer, operator):
        assert client.post("/api/v1/cameras", json={}).status_code == 403
        assert client.delete(f"/api/v1/cameras/{camera_id}").status_code == 403
        assert client.get("/api/v1/users").status_code == 403
    times = {"start": "2026-11-23T10:00:00Z", "end": "2026-11-23T11:00:00Z"}
    refused = viewer.get(f"/api/v1/cameras/{camera_id}/timeline", params=times)
    assert refused.status_code == 403
    assert problem_code(refused) == "forbidden"
    assert operator.get(f"/api/v1/cameras/{camera_id}/timeline", params=times).status_code == 200
    assert viewer.get("/api/v1/exports").status_code == 403
    grant = viewer.post("/internal/grants", json={"camera_id": camera_id, "action": "playback"})
    assert grant.status_code == 403


def test_the_front_gets_grants(vms: MemoryInstallation) -> None:
    camera_id = vms.add_camera()["id"]
    answer = vms.client.post("/internal/grants", json={"camera_id": camera_id, "action": "playback"})
    grant = vms.grants.verify(answer.json()["grant"])
    now_s = vms.clock.now_us() // 1_000_000
    assert (grant.camera_id, grant.action, grant.subject) == (camera_id, "playback", "admin")
    assert grant.start_us is None
    assert now_s < grant.starts_before <= now_s + 61
    assert grant.expires_at > grant.starts_before
    other = "01890a5d-ac96-774b-bcce-b302099a8057"
    missing = vms.client.post("/internal/grants", json={"camera_id": other, "action": "live"})
    assert problem_code(missing) == "camera-not-found"
    nowhere = vms.client.post("/internal/grants", json={"camera_id": "../etc", "action": "live"})
    assert nowhere.status_code == 404
    assert vms.anonymous.post("/internal/grants", json={"camera_id": camera_id, "action": "live"}).status_code == 401

"""Relays and their log-ins, as coturn checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from tests.memory_installation import MemoryInstallation
from vms.adapters.tokens import JwtSigner
from vms.app.config import WebRtc
from vms.domain.time import SECOND_US
from vms.stream.ice_servers import LOG_IN_LASTS_S, Relays, ice_servers

OFFER = b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\n"
SECRET = "a secret of the relay's"
RELAYS = Relays(
    stun_urls=("stun:stun.example:3478",),
    turn_urls=("turn:turn.example:3478?transport=udp", "turns:turn.example:443?transport=tcp"),
    turn_secret=SecretStr(SECRET),
)


@pytest.fixture
def vms(tmp_path: Path, token_signer: JwtSigner) -> Iterator[MemoryInstallation]:
    installation = MemoryInstallation(tmp_path, token_signer, relays=RELAYS)
    yield installation
    installation.close()


def test_a_log_in_names_its_end_and_its_user_and_is_made_with_the_secret() -> None:
    reflector, relay = ice_servers(RELAYS, subject="guard", now_s=1_000)
    assert (reflector.urls, reflector.username, reflector.credential) == (RELAYS.stun_urls, None, None)
    assert relay.username == f"{1_000 + LOG_IN_LASTS_S}:guard"
    expected = hmac.new(SECRET.encode(), relay.username.encode(), hashlib.sha1).digest()
    assert relay.credential is not None and base64.b64decode(relay.credential) == expected


def test_a_relay_without_a_secret_is_not_offered() -> None:
    assert ice_servers(Relays(turn_urls=RELAYS.turn_urls), subject="guard", now_s=0) == []
    with pytest.raises(ValidationError, match="turn_secret"):
        WebRtc(turn_urls=RELAYS.turn_urls)


@pytest.mark.parametrize("url", ["http://turn.example", "turn:", 'turn:a>; rel="x', "stun:stun.example"])
def test_what_is_no_turn_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        WebRtc(turn_urls=(url,), turn_secret=SecretStr(SECRET))


def test_the_configuration_comes_as_a_browser_takes_it(vms: MemoryInstallation) -> None:
    assert vms.anonymous.get("/api/v1/webrtc/ice-servers").status_code == 401
    reflector, relay = vms.client.get("/api/v1/webrtc/ice-servers").json()["ice_servers"]
    # A null would become the user name "null" in a browser.
    assert reflector == {"urls": list(RELAYS.stun_urls)}
    assert relay["username"] == f"{vms.clock.now_us() // SECOND_US + LOG_IN_LASTS_S}:admin"


def test_a_player_that_only_knows_whep_is_told_too(vms: MemoryInstallation) -> None:
    camera = vms.add_camera()
    vms.show(camera["id"])
    link = vms.client.post(f"/api/v1/cameras/{camera['id']}/links", json={"protocol": "whep"}).json()
    answer = vms.anonymous.post(link["url"], content=OFFER, headers={"Content-Type": "application/sdp"})
    assert answer.status_code == 201, answer.text
    links = answer.headers["Link"].split(", ")
    assert links[0] == '<stun:stun.example:3478>; rel="ice-server"'
    assert len(links) == 3 and all(
        ':admin"; credential="' in link and 'credential-type="password"' in link for link in links[1:]
    )


def test_without_relays_there_is_nothing_to_tell(tmp_path: Path, token_signer: JwtSigner) -> None:
    vms = MemoryInstallation(tmp_path, token_signer)
    camera = vms.add_camera()
    vms.show(camera["id"])
    opened = vms.client.post(
        f"/api/v1/cameras/{camera['id']}/live/whep", content=OFFER, headers={"Content-Type": "application/sdp"}
    )
    assert opened.status_code == 201 and "Link" not in opened.headers
    assert vms.client.get("/api/v1/webrtc/ice-servers").json() == {"ice_servers": []}
    vms.close()

"""The running server, as the command line talks to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from vms.domain.errors import Failure


class Server:
    """The server at a URL, logged in to when first needed. Every error becomes a Failure of one sentence."""

    def __init__(self, http: httpx.Client, login: str, password: str | None, token: str | None) -> None:
        self._http = http
        self._login = login
        self._password = password
        self._token = token

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer of a GET under /api/v1."""
        return self._ask("GET", path, params={key: value for key, value in query.items() if value is not None}).json()

    def part(self, path: str, offset: int, size_bytes: int, **query: str) -> httpx.Response:
        """The answer to a GET of so many bytes of a file, whole."""
        byte_range = {"Range": f"bytes={offset}-{offset + size_bytes - 1}"}
        return self._ask("GET", path, byte_range, params=query)

    def post(self, path: str, body: Any) -> Any:
        """The JSON answer of a POST."""
        return self._ask("POST", path, json=body).json()

    def put(self, path: str, body: Any) -> None:
        """A PUT without an answer."""
        self._ask("PUT", path, json=body)

    def delete(self, path: str) -> None:
        """A DELETE."""
        self._ask("DELETE", path)

    def every(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """The items of all pages of a list."""
        cursor = None
        while True:
            page = self.get(path, limit=500, cursor=cursor, **query)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    @contextmanager
    def download(self, path: str) -> Iterator[httpx.Response]:
        """A GET whose body is read piece by piece."""
        request = self._http.build_request("GET", f"/api/v1{path}", headers=self._headers(), timeout=60.0)
        try:
            response = self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        try:
            if response.is_error:
                response.read()
                raise _problem(response)
            yield response
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            response.close()

    def camera(self, name_or_id: str) -> dict[str, Any]:
        """The camera of that identifier or name. Raises Failure(not_found)."""
        for camera in self.every("/cameras"):
            if name_or_id == camera["id"] or name_or_id.casefold() == camera["name"].casefold():
                return camera
        raise Failure("not_found", f"no camera has the name or identifier {name_or_id}: see `vms camera list`")

    def _headers(self) -> dict[str, str]:
        if self._token is None:
            self._token = self._log_in()
        return {"Authorization": f"Bearer {self._token}"}

    def _log_in(self) -> str:
        if self._password is None:
            raise Failure("unauthorized", "give --password (or VMS_PASSWORD) or --token (or VMS_TOKEN)")
        form = {"grant_type": "password", "username": self._login, "password": self._password}
        try:
            response = self._http.post("/api/v1/auth/token", data=form)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _problem(response)
        return str(response.json()["access_token"])

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> httpx.Response:
        sent = {**self._headers(), **(headers or {})}
        try:
            response = self._http.request(method, f"/api/v1{path}", headers=sent, **arguments)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _problem(response)
        return response

    def _unreachable(self, error: httpx.HTTPError) -> Failure:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            advice = "give --ca DATA_DIR/keys/tls_certificate.pem (or VMS_CA), or --insecure"
            return Failure("unavailable", f"the certificate of {self._http.base_url} is not trusted: {advice}")
        return Failure(
            "unavailable", f"the server {self._http.base_url} cannot be reached (does it run? --server): {error}"
        )


def _problem(response: httpx.Response) -> Failure:
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the server answered {response.status_code}"
    kind = {401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "conflict"}.get(response.status_code)
    return Failure(kind or "unavailable", detail)  # type: ignore[arg-type]  # the four are kinds

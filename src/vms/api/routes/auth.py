"""Log-in, log-out, users."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response

from vms.api.dependencies import Authenticated, ServicesOf, permitted
from vms.api.models import Me, PasswordRequest, TokenAnswer, UserAnswer, UserRequest, Users
from vms.contracts.accounts import User
from vms.domain.errors import Failure, FieldFailure
from vms.domain.permissions import Permission, permissions_of

router = APIRouter(prefix="/api/v1")
_edits_users = Depends(permitted(Permission.EDIT_USERS))


@router.post("/auth/token", tags=["log in"])
def create_token(
    part: ServicesOf,
    grant_type: Annotated[str, Form(description="password or refresh_token")] = "password",
    username: Annotated[str | None, Form(max_length=256)] = None,
    password: Annotated[str | None, Form(max_length=4096)] = None,
    refresh_token: Annotated[str | None, Form(max_length=8192)] = None,
    otp: Annotated[str | None, Form(max_length=16, description="Not asked for yet")] = None,  # noqa: ARG001
) -> TokenAnswer:
    """OAuth2 password grant, or the renewal of both tokens by a refresh token (good once)."""
    if grant_type == "password":
        if username is None or password is None:
            raise FieldFailure("/username", "the password grant needs username and password", code="validation")
        pair = part.access.log_in(username, password)
    elif grant_type == "refresh_token":
        if refresh_token is None:
            raise FieldFailure("/refresh_token", "the refresh_token grant needs refresh_token", code="validation")
        pair = part.access.refresh(refresh_token)
    else:
        raise Failure("invalid", "grant_type is password or refresh_token", code="unsupported-grant-type")
    return TokenAnswer(
        access_token=pair.access_token.get_secret_value(),
        refresh_token=pair.refresh_token.get_secret_value(),
        expires_in=pair.expires_in,
    )


@router.post("/auth/logout", status_code=204, tags=["log in"])
def log_out(part: ServicesOf, principal: Authenticated) -> Response:
    """Ends the session: neither of its tokens is good any more."""
    part.access.log_out(principal)
    return Response(status_code=204)


@router.get("/me", tags=["log in"])
def me(principal: Authenticated) -> Me:
    """Who is logged in, and what that user may do."""
    held = sorted(permission.value for permission in permissions_of(principal.role))
    return Me(name=principal.name, role=principal.role, permissions=held)


def _answer(user: User) -> UserAnswer:
    return UserAnswer.model_construct(id=user.id, name=user.name, role=user.role, created_at=user.created_us)


@router.get("/users", dependencies=[_edits_users], tags=["users"])
def list_users(part: ServicesOf) -> Users:
    """Every user."""
    return Users.model_construct(items=[_answer(user) for user in part.access.users()], next_cursor=None)


@router.post("/users", status_code=201, dependencies=[_edits_users], tags=["users"])
def add_user(part: ServicesOf, request: UserRequest) -> UserAnswer:
    """Adds a user."""
    return _answer(part.access.add_user(request.name, request.password.get_secret_value(), request.role))


@router.put("/users/{name}/password", status_code=204, dependencies=[_edits_users], tags=["users"])
def set_password(part: ServicesOf, name: str, request: PasswordRequest) -> Response:
    """Sets a user's password and ends that user's sessions."""
    part.access.set_password(name, request.password.get_secret_value())
    return Response(status_code=204)

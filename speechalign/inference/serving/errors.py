"""What a server answers to what it cannot do: a status, and a reason in OpenAI's form."""

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from speechalign.errors import UserError

GONE = 499  # nginx's number for a client that did not wait; nobody reads it but the metrics
RETRY_AFTER = 2  # seconds; a sentence is answered in less


class RefusalError(UserError):
    """A request that is not answered, and why.

    Args:
        status: Of HTTP.
        message: What was wrong, what was expected, what to do.
        param: The field that is at fault.
        code: A word for programs.
        retry_after: Seconds after which to try again, where that may help.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What stands above the reason."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    def body(self) -> dict[str, Any]:
        """Write the reason as OpenAI's API does."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = "rate_limit_error" if self.status == 429 else kind
        told = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": told}


def refusal(error: Exception) -> RefusalError:
    """Turn anything that was raised into a refusal; of the server's own faults it tells nothing."""
    if isinstance(error, RefusalError):
        return error
    if isinstance(error, UserError):
        return RefusalError(400, str(error))
    if isinstance(error, HTTPException):
        return RefusalError(error.status_code, f"{error.detail}: see /docs for what there is.")
    return RefusalError(500, "The server failed, which is its own fault: its log has the reason.")


def tell(_: Request, error: Exception) -> Response:
    """Answer with a refusal."""
    told = refusal(error)
    headers = told.headers
    if isinstance(error, HTTPException):  # as `Allow`, of methods
        headers |= error.headers or {}
    return JSONResponse(told.body(), told.status, headers)


def tell_nobody(_: Request, __: Exception) -> Response:
    """Answer a client that has gone, for the metrics."""
    return Response(status_code=GONE)


def install(app: FastAPI) -> None:
    """Have an app answer all errors in this form."""
    app.add_exception_handler(UserError, tell)
    app.add_exception_handler(HTTPException, tell)
    app.add_exception_handler(ClientDisconnect, tell_nobody)
    app.add_exception_handler(Exception, tell)

"""What the server says when it does not answer: one shape, OpenAI's, and one line that names the mend."""

import json

from rerank.errors import RerankError


class Refused(RerankError):
    """Catch it to answer a request with an error. `param` names the field at fault, where one is."""

    def __init__(self, status: int, message: str, *, param: str | None = None, retry_after_s: int | None = None):
        super().__init__(message)
        self.status = status
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> bytes:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.status}
        return json.dumps({"error": error}).encode()

    @property
    def headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(self.retry_after_s)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers

"""Passwords and tokens are taken out of whatever is shown, logged or kept."""

import re

HIDDEN = "***"
# postgresql://user:password@host: the password may hold any of the separators.
_PASSWORD = re.compile(r"(\w://[^:/?#@\s]*):\S*@")
# https://token@host: the user is the secret.
_TOKEN = re.compile(r"(https?://)[^/?#@\s]+@", re.IGNORECASE)
# ?password=..., sslpassword='...', AWS_SECRET_ACCESS_KEY=...
_VALUE = re.compile(
    r"(\w*(?:passw|pwd|passphrase|secret|token|signature|api.?key)[\w-]*\s*=\s*)"
    r"""('[^']*'|"[^"]*"|[^\s&#"']+)""",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """An address, a command's argument or a message, with `***` for each secret in it."""
    text = _PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = _TOKEN.sub(rf"\1{HIDDEN}@", text)
    return _VALUE.sub(rf"\1{HIDDEN}", text)

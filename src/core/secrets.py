"""Hides passwords and tokens in what is shown or stored: addresses, commands and error texts."""

import re

HIDDEN = "***"
_KEY = r"(?:passw(?:or)?d|passphrase|pwd|secret|token|signature|(?:api|access|secret)[_-]?key)"
_QUOTED = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
# A quoted address: its parts may contain spaces, or the other kind of quote.
_QUOTED_ADDRESS = re.compile(r"(?<!\w)(['\"])([a-z][\w+.-]*://(?:(?!\1).)*)\1", re.IGNORECASE)
_QUERY_VALUE = re.compile(rf"([?&][\w.-]*{_KEY}(?:=|%3D))[^&]*", re.IGNORECASE)
_VALUE = re.compile(
    rf"({_KEY}(?:['\"]\s*:\s*|\s?=\s?|%3D)|--[\w-]*{_KEY}\s+)(?:{_QUOTED}|[^\s&'\"]\S*?(?=[&\s]|$))",
    re.IGNORECASE,
)
# For the web, a user alone may be a token.
_WEB_USER = re.compile(r"\b(https?://)(?:[^\s/?#@:'\"]*:\S*|[^\s/?#'\"]*)@", re.IGNORECASE)
# The password ends at the word's last @; one with spaces is no port that another word's @ follows.
_USER = re.compile(
    r"(\b[a-z][\w+.-]*://[^\s:/?#@\['\"]*:)"
    r"(?:\S*@|(?!\d+(?:[/?#]\S*)?['\"]?(?:\s|$))[^@\n]*@(?:\S*@)?)",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """`text` with every password and token in it as ***.

    It may be an address, a command line or an error's message. If it is not clear where a password
    ends, as with an unquoted space, too much is hidden rather than too little.
    """
    text = _QUOTED_ADDRESS.sub(lambda match: _hide_in_quoted(*match.groups()), text)
    text = _WEB_USER.sub(rf"\1{HIDDEN}@", text)
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    return _VALUE.sub(rf"\1{HIDDEN}", text)


def _hide_in_quoted(quote: str, address: str) -> str:
    return quote + _QUERY_VALUE.sub(rf"\1{HIDDEN}", address) + quote

"""The one exception whose message is written for the person at the prompt."""


class UserError(ValueError):
    """Bad input: the message is one line that names the file or key and what would be right."""

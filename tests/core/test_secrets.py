"""No password is left in a text, and what is no secret stays."""

import shlex

import pytest

from src.core.secrets import without_secrets

PASSWORDS = ["hunter2", "a@b", "a:b", "a/b", "a?b", "a#b", "a%40b", "a b", "a'b", 'a"b', "1/2@3"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "https"])
@pytest.mark.parametrize("form", ["{}", "--storage {} --trials 3", "cannot connect to {}: refused"])
def test_a_password_before_the_host_is_hidden(password: str, scheme: str, form: str) -> None:
    shown = without_secrets(form.format(f"{scheme}://me:{password}@host/db"))
    user = "***" if scheme == "https" and " " not in password else "me:***"
    assert shown in {form.format(f"{scheme}://{name}@host/db") for name in (user, "me:***")}


@pytest.mark.parametrize("password", PASSWORDS)
def test_in_a_quoted_command_a_password_is_hidden_wherever_it_is(password: str) -> None:
    for address in (f"postgresql://me:{password}@host/db", f"mysql://host/db?password={password}"):
        command = shlex.join(["python", "--storage", address, "--study", "a"])
        shown = without_secrets(command)
        assert "***" in shown
        assert "host" in shown
        assert shlex.quote(password).strip("'") not in shown.replace("host/db", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "postgresql://h/db?user=me&password=x%40y&a=1",
            "postgresql://h/db?user=me&password=***&a=1",
        ),
        ("?sslpassword=x", "?sslpassword=***"),
        ("?X-Amz-Signature=x", "?X-Amz-Signature=***"),
        ("?options=password%3Dx", "?options=password%3D***"),
        ("host=h password='x \\' y' user=me", "host=h password=*** user=me"),
        ("MLFLOW_TRACKING_PASSWORD=x make", "MLFLOW_TRACKING_PASSWORD=*** make"),
        ("run --token x --fast", "run --token *** --fast"),
        ('{"api_key": "x", "a": 1}', '{"api_key": ***, "a": 1}'),
        ("HTTPS://me:x@host", "HTTPS://***@host"),
        ("https://TOKEN@host/a.git", "https://***@host/a.git"),
        ("https://TOKEN:x-oauth-basic@host", "https://***@host"),
        ("postgresql://:x@host/db", "postgresql://:***@host/db"),
    ],
)
def test_each_way_to_pass_a_secret_is_known(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me@host:5432/db",
        "http://127.0.0.1:5000 --author me@host",
        "http://127.0.0.1:5000/#/runs",
        "http://[::1]:5000/a",
        "https://host/@user/a",
        "https://host/a@b",
        "sqlite:////data/mlflow.db",
        'FATAL: password authentication failed for user "me"',
        "python -m src.tune --trials 3 --storage sqlite:///optuna.db",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text

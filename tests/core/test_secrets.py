import pytest

from src.core.secrets import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@db/studies", "postgresql://me:***@db/studies"),
        ("postgresql+psycopg://me:h%40u:n/t?e#r2@db:5432/x", "postgresql+psycopg://me:***@db:5432/x"),
        ("postgresql://:hunter2@db/x", "postgresql://:***@db/x"),
        ("postgresql://db/x?user=me&password=hunter2&port=1", "postgresql://db/x?user=me&password=***&port=1"),
        ("postgresql://db/x?sslpassword=hunter2", "postgresql://db/x?sslpassword=***"),
        ("https://hunter2@example.org/data", "https://***@example.org/data"),
        ("HTTPS://me:hunter2@example.org", "HTTPS://***@example.org"),
        ("https://example.org/x?X-Amz-Signature=hunter2", "https://example.org/x?X-Amz-Signature=***"),
        ("failed: host=db password='hunter 2' user=me", "failed: host=db password=*** user=me"),
        ("AWS_SECRET_ACCESS_KEY=hunter2 python", "AWS_SECRET_ACCESS_KEY=*** python"),
    ],
)  # fmt: skip
def test_a_secret_is_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/me/idxflow/mlflow.db",
        "postgresql://me@db/studies",
        "http://127.0.0.1:5000",
        "https://example.org/a@b",
        "python -m src.tune --trials 50",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text

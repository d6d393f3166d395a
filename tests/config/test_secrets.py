"""Credentials, and nothing else, are blanked wherever text or configs are shown or stored."""

import json

import pytest

from jobs.config.model import as_public_dict
from jobs.config.secrets import blanked, without_secrets
from tests.jobs.tiny import SECRET
from tests.past.recorded_runs import NOWHERE, config_of

HIDDEN = {
    f"s3a://AKIA:{SECRET}@bucket/pool": "s3a://***@bucket/pool",
    f"s3a://AKIA:{SECRET}/{SECRET}@bucket/pool": "s3a://***@bucket/pool",
    f"jdbc:postgresql://u:{SECRET}@{SECRET}@host/db": "jdbc:postgresql://***@host/db",
    f"https://a.blob.net/c?sv=1&sig={SECRET}&se=2": "https://a.blob.net/c?sv=1&sig=***&se=2",
    f"fs.s3a.secret.key={SECRET}": "fs.s3a.secret.key=***",
    f'{{"password": "{SECRET}", "user": "me"}}': '{"password": "***", "user": "me"}',
    f'{{"password": "two words, \\" {SECRET}", "user": "me"}}': '{"password": "***", "user": "me"}',
    f"Authorization: Bearer {SECRET}": "Authorization: ***",
    f"401 for Bearer {SECRET}{SECRET}": "401 for Bearer ***",
    f"passphrase={SECRET} x": "passphrase=*** x",
    f"parquet.encryption.key.list=k:{SECRET}": "parquet.encryption.key.list=***",
}
SHOWN = [
    "abfss://container@account.dfs.core.windows.net/pool",
    "hdfs://namenode:8020/user@home/pool",
    "tokenizer=wordpiece",
    "design=blue",
    "keys: id",
    '{"password": "", "user": "me"}',
    "a bearer of news",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_credentials_are_blanked_and_nothing_else(text: str) -> None:
    assert without_secrets(text) == HIDDEN[text]


@pytest.mark.parametrize("text", SHOWN)
def test_what_only_looks_like_a_credential_is_kept(text: str) -> None:
    assert without_secrets(text) == text


def test_a_public_config_keeps_all_but_the_credentials() -> None:
    odd = json.dumps({"api_key": f'{SECRET} "and, {SECRET}', "sep": ";"})
    public = as_public_dict(config_of(f"input.options={odd}"))
    assert public["input"]["options"] == {"api_key": "***", "sep": ";"}
    assert public["input"]["table"] == f"{NOWHERE}/pool"


def test_the_value_of_an_option_that_names_a_secret_is_blanked() -> None:
    command = ["train.py", "--api-key", SECRET, "--epochs", "3", f"--token={SECRET}", "-v"]
    assert blanked({"command": command}, without_secrets) == {
        "command": ["train.py", "--api-key", "***", "--epochs", "3", "--token=***", "-v"]
    }


def test_numbers_of_tokens_are_no_secrets() -> None:
    plain = {"max_new_tokens": 32, "token": "abc", "password": 1234, "n_tokens": [3], "ratio": 0.5}
    want = {
        "max_new_tokens": 32,
        "token": "***",
        "password": "***",
        "n_tokens": "***",
        "ratio": 0.5,
    }
    assert blanked(plain, without_secrets) == want

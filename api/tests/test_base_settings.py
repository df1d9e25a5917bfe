"""The environment and the command line."""

import pytest

from kt_images.base_settings import Settings, read_settings


def test_a_flag_wins_over_the_environment_and_that_over_the_default(monkeypatch):
    assert read_settings([]).port == 8080
    monkeypatch.setenv("KT_IMAGES_PORT", "81")
    assert read_settings([]).port == 81
    assert read_settings(["--port", "82"]).port == 82


def test_the_database_comes_from_its_own_variable(monkeypatch):
    monkeypatch.setenv("POSTGRES_DSN", "dbname=a")
    assert read_settings([]).postgres_dsn == "dbname=a"
    assert read_settings(["--postgres_dsn", "dbname=b"]).postgres_dsn == "dbname=b"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("port", "x"),
        ("port", "70000"),
        ("chunk_size", "0"),
        ("postgres_dsn", "password=secret nonsense"),
        ("pool_size", "-1"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_sentence_that_names_the_setting(flag, value, capsys):
    with pytest.raises(SystemExit) as end:
        read_settings([f"--{flag}={value}"])
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert f"--{flag}" in error
    assert "secret" not in error
    assert error.count("\n") == 1


def test_an_unknown_flag_is_refused():
    with pytest.raises(SystemExit) as end:
        read_settings(["--nonsense"])
    assert end.value.code == 2


def test_settings_cannot_change_and_show_no_password():
    settings = Settings(postgres_dsn="password=secret")
    assert "secret" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
